//! Every example runs, ends by itself, and shows what it says it shows: over the broker it has of itself, and over Redis.

mod lessons;
mod pages;
mod quickstart;
mod run;
