//! The Handle protocol's binary forms. So far: HS_SITE, which every node derives from its prefix entries.

pub mod site;
