//! taskq-core
