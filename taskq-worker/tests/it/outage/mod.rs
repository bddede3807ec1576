//! Outages and limits: worker processes over a real redis-server that goes away, fills up, forgets and refuses.
//!
//! Every run of a task leaves two lines in a file, so that the tests know what ran, when and how often, whatever the
//! broker says.

mod away;
mod eviction;
mod forgets;
mod full;
mod mistyped;
mod refuses;
mod stage;
