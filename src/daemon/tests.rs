//! Tests of a node as a whole, below its front ends.

mod simulation;
