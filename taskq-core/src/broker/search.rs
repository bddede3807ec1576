//! Looking for one message among many: how far, in which order, and how it is told from the others.

use std::ops::Range;

use crate::id::TaskId;
use crate::message::Message;

/// So many messages of each place are looked at by [`Inspect::find`](super::Inspect::find): of a longer list its two
/// ends, half as many each.
pub const MAX_SEARCHED: usize = 50_000;

/// The hexadecimal digits that end an id in all its spellings.
const TAIL: usize = 12;

/// An id that is looked for in the wire form of messages.
#[derive(Debug)]
pub(super) struct Needle {
    id: TaskId,
    text: Vec<u8>,
}

impl Needle {
    pub(super) fn new(id: TaskId) -> Self {
        Self {
            id,
            text: id.to_string().into_bytes(),
        }
    }

    /// Whether this is the message of that id. Most are told by their bytes alone; ids that other programs wrote may be
    /// in upper case and without hyphens, and one that is mentioned in arguments is not that message's.
    pub(super) fn fits(&self, body: &[u8]) -> bool {
        let mentions = match self.begins_with_an_id(body) {
            Some(id) => id.eq_ignore_ascii_case(&self.text),
            None => {
                let tail = &self.text[self.text.len() - TAIL..];
                body.windows(TAIL)
                    .any(|part| part.eq_ignore_ascii_case(tail))
            }
        };
        mentions
            && match Message::decode(body) {
                Ok(message) => message.id == self.id,
                Err(unread) => unread.id == Some(self.id),
            }
    }

    /// The id with which almost all messages begin; nothing behind it can change what it says.
    fn begins_with_an_id<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        let rest = body.strip_prefix(br#"{"id":""#)?;
        let (id, rest) = rest.split_at_checked(self.text.len())?;
        (rest.first() == Some(&b'"') && !id.contains(&b'\\')).then_some(id)
    }
}

/// The parts of a place with `length` messages that are looked at, from one end to the other; and whether that is all.
pub(super) fn windows(length: usize) -> (Vec<Range<usize>>, bool) {
    if length <= MAX_SEARCHED {
        return (std::iter::once(0..length).collect(), true);
    }
    let half = MAX_SEARCHED / 2;
    (vec![0..half, length - half..length], false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_is_not_the_message() {
        let id: TaskId = "0198c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let needle = Needle::new(id);
        let wire = |id: &str, arg: &str| {
            format!(r#"{{"id":"{id}","task":"t","args":["{arg}"]}}"#).into_bytes()
        };
        let other = TaskId::random().to_string();
        for (own, arg, fits) in [
            (id.to_string(), "", true),
            (id.to_string().to_uppercase(), "", true),
            (id.to_string().replace('-', ""), "", true),
            (other.clone(), "", false),
            (other, &*id.to_string(), false),
        ] {
            assert_eq!(needle.fits(&wire(&own, arg)), fits, "{own} {arg}");
        }
        // Elsewhere than at the beginning, or with an escape in it.
        let late = format!(r#"{{"task":"t", "id" : "{id}"}}"#);
        assert!(needle.fits(late.as_bytes()));
        let escaped = format!(r#"{{"id":"\u0030{}","task":"t"}}"#, &id.to_string()[1..]);
        assert!(needle.fits(escaped.as_bytes()));
        // No worker can read it, yet it says who it is.
        let broken = format!(r#"{{"id":"{id}","task":"t","args":7}}"#);
        assert!(needle.fits(broken.as_bytes()));
    }

    #[test]
    fn of_a_long_list_both_ends_are_looked_at() {
        let whole = |length| (std::iter::once(0..length).collect(), true);
        assert_eq!(windows(0), whole(0));
        assert_eq!(windows(MAX_SEARCHED), whole(MAX_SEARCHED));
        let (parts, all) = windows(MAX_SEARCHED + 10);
        assert!(!all);
        assert_eq!(parts.iter().map(Range::len).sum::<usize>(), MAX_SEARCHED);
        assert_eq!((parts[0].start, parts[1].end), (0, MAX_SEARCHED + 10));
    }
}
