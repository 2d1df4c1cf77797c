//! The generated protobuf types, clients and servers of `proto/idnode/v1`, included once.
//!
//! They are the form on the wire, not the vocabulary of the node: they stay in this module, `front/grpc`, `federation` and `cli`.
//! [`crate::wire::message`] translates the words that all of them use.

tonic::include_proto!("idnode.v1");

/// The compiled descriptors, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("idnode.v1");
