//! Asking a service over HTTP, one connection for each question.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a service answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status: 200, 404, …
    pub status: u16,
    /// The body; `null` where it is no JSON.
    pub body: Value,
    /// From before the connection until the end of the body.
    pub took: Duration,
}

/// `GET path` at `address` (`host:port`).
///
/// # Errors
/// Nobody listens there, or there is no whole answer within 30 s.
pub fn get(address: &str, path: &str) -> Result<Answer, String> {
    ask(address, "GET", path, "")
}

/// `POST path` with a body of JSON.
///
/// # Errors
/// As [`get`].
pub fn post(address: &str, path: &str, body: &str) -> Result<Answer, String> {
    ask(address, "POST", path, body)
}

fn ask(address: &str, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    let since = Instant::now();
    let told =
        exchange(address, method, path, body).map_err(|e| format!("{address}{path}: {e}"))?;
    let (status, body) = understood(&told).ok_or_else(|| format!("no HTTP: {told:.200}"))?;
    Ok(Answer {
        status,
        body,
        took: since.elapsed(),
    })
}

fn exchange(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut told = String::new();
    stream.read_to_string(&mut told)?;
    Ok(told)
}

fn understood(told: &str) -> Option<(u16, Value)> {
    let (head, body) = told.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or_default()))
}
