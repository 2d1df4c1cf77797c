//! The types of the model as JSON, as the Handle JSON API writes and reads them.
//!
//! ```text
//!   shape ◀─ plain ◀─ site ◀─ data ◀─ value   openapi_schema: what requests may hold, for the OpenAPI document alone
//! ```

pub(in crate::front::http) mod shape;

mod plain;

pub(in crate::front::http) mod site;

mod data;

pub(in crate::front::http) mod value;

pub(in crate::front::http) mod openapi_schema;
