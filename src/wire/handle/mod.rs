//! The Handle protocol's binary forms: messages, values and the data of well-known types.

pub mod administrator;
pub mod site;
