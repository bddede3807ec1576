//! `docker-compose.yml`, `.env.example` and the `Dockerfile`: what they say, and what their services do as plain processes.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod built;
mod deliveries;
mod files;
mod guide;
mod said;
mod trouble;
mod well;
mod whole;
