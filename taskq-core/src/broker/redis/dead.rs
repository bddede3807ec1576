//! The dead set: what bounds it, and how an entry is written and read.

use bytes::Bytes;
use redis::Cmd;

use crate::broker::{DeadHandle, DeadMessage};
use crate::error::{Error, ErrorKind};
use crate::state::State;

/// The dead set keeps each message for 7 days at most …
const AGE_MS: u64 = 7 * 24 * 3_600_000;

/// … this many messages at most …
const ENTRIES: u64 = 10_000;

/// … and this many bytes at most: 64 MiB.
const BYTES: u64 = 64 << 20;

/// Adds the bounds to a call, in the order that every script takes them.
pub(super) fn bounds(call: &mut Cmd) {
    call.arg(AGE_MS).arg(ENTRIES).arg(BYTES);
}

/// The line before a message in the dead set: why it is there, and a reference that keeps equal messages apart.
pub(super) fn header(state: State, reason: &str, session: &str, tag: u64) -> Result<String, Error> {
    #[derive(serde::Serialize)]
    struct Header<'a> {
        state: State,
        reason: &'a str,
        r#ref: String,
    }
    let header = Header {
        state,
        reason,
        r#ref: format!("{session}:{tag}"),
    };
    serde_json::to_string(&header).map_err(|e| {
        Error::new(
            ErrorKind::Protocol,
            "the header of a dead message does not encode",
        )
        .because(e)
    })
}

/// The message in an entry.
pub(super) fn body(member: &[u8]) -> &[u8] {
    let end = member.iter().position(|&b| b == b'\n').unwrap_or(0);
    member.get(end + 1..).unwrap_or_default()
}

/// Takes an entry apart: a line of JSON, then the message.
pub(super) fn read(member: Vec<u8>, at: u64) -> DeadMessage {
    #[derive(serde::Deserialize)]
    struct Header {
        state: State,
        reason: String,
    }
    let end = member.iter().position(|&b| b == b'\n').unwrap_or(0);
    let header: Option<Header> = serde_json::from_slice(&member[..end]).ok();
    let (state, reason) =
        header.map_or((State::Dead, "unknown".to_owned()), |h| (h.state, h.reason));
    let member = Bytes::from(member);
    DeadMessage {
        handle: DeadHandle(member.clone()),
        body: member.slice((end + 1).min(member.len())..),
        state,
        reason,
        at,
    }
}
