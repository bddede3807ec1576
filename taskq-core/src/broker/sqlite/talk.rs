//! Questions to workers and their answers: rows that stand for a short while. Each listener and each asker keeps the number
//! of the last row it has read, so all of them see each once.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Params, params};
use tokio::time::{Instant, timeout_at};

use super::bell::Topic;
use super::link::Link;
use super::tx::{Tx, View, column};
use crate::broker::{Replies, Requests};
use crate::control::{Reply, Request};
use crate::error::{Error, ErrorKind};
use crate::id::TaskId;

/// Who asks waits for seconds: a minute later nobody wants to know.
const KEPT_MS: u64 = 60_000;

/// So many questions stand at once, and so many answers to one asker unread.
const BACKLOG: i64 = 1_024;

/// One question, or one answer, has so many bytes at most: 8 MiB.
const MAX_BODY: usize = 8 << 20;

/// The unread answers to one asker have so many bytes at most: 64 MiB.
const MAX_UNREAD: i64 = 64 << 20;

/// The questions that stand have so many bytes at most: 64 MiB.
const MAX_STANDING: i64 = 64 << 20;

/// So many rows are read at once at most, …
const AT_ONCE: i64 = 100;

/// … and no further one behind so many bytes.
const FULL: usize = 1 << 20;

/// A wake-up that got lost costs at most this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// An address is one that [`ask`] made up.
const MAX_ADDRESS: usize = 64;

/// A row as it was read: its number and what it says.
type Said = (i64, Vec<u8>);

pub(super) async fn ask(link: &Arc<Link>, mut request: Request) -> Result<Box<dyn Replies>, Error> {
    let address = TaskId::random().to_string();
    request.reply_to.clone_from(&address);
    let body = encode(&request, "question", &request.id)?;
    link.write(move |tx| put_question(tx, &body)).await?;
    Ok(Box::new(Answers {
        link: link.clone(),
        address,
        read: 0,
        unread: VecDeque::new(),
    }))
}

pub(super) async fn listen(link: &Arc<Link>) -> Result<Box<dyn Requests>, Error> {
    Ok(Box::new(Questions {
        link: link.clone(),
        read: link.read(last_question).await?,
        unread: VecDeque::new(),
    }))
}

pub(super) async fn reply(link: &Link, request: &Request, reply: Reply) -> Result<(), Error> {
    let (id, to) = (request.id.clone(), request.reply_to.clone());
    if to.len() > MAX_ADDRESS {
        return Err(Error::invalid(format!(
            "{id} does not say where its answer goes"
        )));
    }
    let body = encode(&reply, "answer", &id)?;
    link.write(move |tx| put_answer(tx, &id, &to, &body)).await
}

/// Drops what is past its time, at most `n` of each kind; how many at most of one kind.
pub(super) fn expire(tx: &Tx<'_>, n: usize) -> Result<usize, Error> {
    let mut most = 0;
    for sql in [
        "DELETE FROM question WHERE until <= ?1 AND id IN (SELECT id FROM question WHERE id > 0 ORDER BY id LIMIT ?2)",
        "DELETE FROM answer WHERE until <= ?1 AND id IN (SELECT id FROM answer WHERE id > 0 ORDER BY id LIMIT ?2)",
    ] {
        most = most.max(tx.run(sql, [tx.now_column(), column(n as u64)])?);
    }
    Ok(most)
}

fn put_question(tx: &mut Tx<'_>, body: &[u8]) -> Result<(), Error> {
    // Where nobody sweeps, what is past its time leaves all the same.
    expire(tx, BACKLOG as usize)?;
    let until = column(tx.now().saturating_add(KEPT_MS));
    let sql = "INSERT INTO question (until, body) VALUES (?1, ?2)";
    tx.run(sql, params![until, body])?;
    // The oldest leave; who has not read them by now hears that it missed some.
    let newest = last_question(tx)?;
    let oldest = oldest_with_room(tx)?.max(newest - BACKLOG + 1);
    tx.run("DELETE FROM question WHERE id < ?1", [oldest])?;
    tx.ring(Topic::Talk);
    Ok(())
}

fn put_answer(tx: &mut Tx<'_>, id: &str, to: &str, body: &[u8]) -> Result<(), Error> {
    let sql = "SELECT count(*), total(length(body)) FROM answer WHERE reply_to = ?1";
    let (unread, bytes): (i64, f64) = tx.one(sql, [to], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if unread >= BACKLOG || bytes >= MAX_UNREAD as f64 {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("the asker of {id} has {unread} answers unread"),
        ));
    }
    let until = column(tx.now().saturating_add(KEPT_MS));
    let sql = "INSERT INTO answer (reply_to, until, body) VALUES (?1, ?2, ?3)";
    tx.run(sql, params![to, until, body])?;
    tx.ring(Topic::Talk);
    Ok(())
}

/// The oldest question that stands if all behind it do, within their bytes.
fn oldest_with_room(view: &View<'_>) -> Result<i64, Error> {
    let sql = "SELECT id, length(body) FROM question WHERE id > 0 ORDER BY id DESC";
    let (mut left, mut oldest) = (MAX_STANDING, i64::MIN);
    let full = view.each(sql, (), |row| {
        left -= row.get::<_, i64>(1)?;
        if left < 0 {
            return Ok(ControlFlow::Break(()));
        }
        oldest = row.get(0)?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(full.map_or(i64::MIN, |()| oldest))
}

/// The number of the last question that was ever asked.
fn last_question(view: &View<'_>) -> Result<i64, Error> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'question'";
    Ok(view.maybe(sql, (), |row| row.get(0))?.unwrap_or(0))
}

/// What `sql` answers: numbers and bodies.
fn rows(view: &View<'_>, sql: &str, params: impl Params) -> Result<Vec<Said>, Error> {
    let failed = |e| view.trouble(e);
    let mut statement = view.prepared(sql)?;
    let mut rows = statement.query(params).map_err(failed)?;
    let (mut said, mut size) = (Vec::new(), 0);
    while size < FULL
        && let Some(row) = rows.next().map_err(failed)?
    {
        let body: Vec<u8> = row.get(1).map_err(failed)?;
        size += body.len();
        said.push((row.get(0).map_err(failed)?, body));
    }
    Ok(said)
}

/// What is asked of workers, for one of them.
struct Questions {
    link: Arc<Link>,
    /// The number of the last question that is in `unread`, or was.
    read: i64,
    unread: VecDeque<Vec<u8>>,
}

#[async_trait]
impl Requests for Questions {
    async fn next(&mut self) -> Result<Request, Error> {
        let link = self.link.clone();
        loop {
            while let Some(body) = self.unread.pop_front() {
                // What is no question has no answer.
                if let Ok(request) = Request::decode(&body) {
                    return Ok(request);
                }
            }
            // Armed before the look: what is asked between look and wait is not missed.
            let mut talk = pin!(link.bell().heard(Topic::Talk));
            talk.as_mut().enable();
            let read = self.read;
            let (asked, newest) = link
                .read(move |view| {
                    let sql = "SELECT id, body FROM question WHERE id > ?1 ORDER BY id LIMIT ?2";
                    Ok((rows(view, sql, [read, AT_ONCE])?, last_question(view)?))
                })
                .await?;
            // Numbers have no gaps: what is not there is gone; and who has read more than was asked read another file.
            let next = asked.first().map_or(newest + 1, |(number, _)| *number);
            if next != read + 1 {
                self.read = newest;
                let text = "questions were missed: listen anew";
                return Err(Error::new(ErrorKind::Unreachable, text));
            }
            if asked.is_empty() {
                drop(timeout_at(Instant::now() + LOOK_AGAIN, talk).await);
            }
            for (number, body) in asked {
                self.read = number;
                self.unread.push_back(body);
            }
        }
    }
}

/// The answers to one question.
struct Answers {
    link: Arc<Link>,
    address: String,
    /// The number of the last answer that is in `unread`, or was.
    read: i64,
    unread: VecDeque<Vec<u8>>,
}

#[async_trait]
impl Replies for Answers {
    async fn next(&mut self) -> Result<Reply, Error> {
        let link = self.link.clone();
        loop {
            while let Some(body) = self.unread.pop_front() {
                if let Ok(reply) = serde_json::from_slice(&body) {
                    return Ok(reply);
                }
            }
            let mut talk = pin!(link.bell().heard(Topic::Talk));
            talk.as_mut().enable();
            let (address, read) = (self.address.clone(), self.read);
            let said = link
                .read(move |view| {
                    let sql = "SELECT id, body FROM answer WHERE reply_to = ?1 AND id > ?2 \
                               ORDER BY id LIMIT ?3";
                    rows(view, sql, params![address, read, AT_ONCE])
                })
                .await?;
            let Some((last, _)) = said.last() else {
                drop(timeout_at(Instant::now() + LOOK_AGAIN, talk).await);
                continue;
            };
            self.read = *last;
            self.unread.extend(said.into_iter().map(|(_, body)| body));
            self.forget();
        }
    }
}

impl Answers {
    /// Drops what was read: it makes room for others. Nobody waits for it, and a minute later it leaves anyway.
    fn forget(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (link, address, read) = (self.link.clone(), self.address.clone(), self.read);
        let step = move |tx: &mut Tx<'_>| {
            let sql = "DELETE FROM answer WHERE reply_to = ?1 AND id <= ?2";
            tx.run(sql, params![address, read]).map(drop)
        };
        drop(runtime.spawn(async move { drop(link.begin(step).await) }));
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.read = i64::MAX;
        self.forget();
    }
}

fn encode(value: &impl serde::Serialize, what: &str, id: &str) -> Result<Vec<u8>, Error> {
    let body = serde_json::to_vec(value).map_err(|e| {
        let text = format!("the {what} {id} does not encode");
        Error::new(ErrorKind::Protocol, text).because(e)
    })?;
    if body.len() > MAX_BODY {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "the {what} {id} has {} bytes, the limit is {MAX_BODY}",
                body.len()
            ),
        ));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Control;
    use crate::broker::sqlite::SqliteBroker;
    use crate::broker::sqlite::open::Location;
    use crate::control::Command;

    fn broker() -> SqliteBroker {
        SqliteBroker::at(&Location::Memory).unwrap()
    }

    fn question(id: &str) -> Request {
        Request {
            id: id.into(),
            reply_to: String::new(),
            destination: Vec::new(),
            command: Command::Ping,
        }
    }

    fn answer(id: &str, text: &str) -> Reply {
        Reply {
            id: id.into(),
            node: "w@host".into(),
            body: text.into(),
            notices: Vec::new(),
        }
    }

    async fn count(broker: &SqliteBroker, sql: &'static str) -> i64 {
        let look = move |view: &View<'_>| view.one(sql, (), |row| row.get(0));
        broker.link.read(look).await.unwrap()
    }

    const ANSWERS: &str = "SELECT count(*) FROM answer";
    const QUESTIONS: &str = "SELECT count(*) FROM question";

    #[tokio::test]
    async fn a_listener_that_is_too_slow_hears_that_it_missed_some() {
        let broker = broker();
        let mut slow = broker.listen().await.unwrap();
        let step = |tx: &mut Tx<'_>| (0..=BACKLOG).try_for_each(|_| put_question(tx, b"{}"));
        broker.link.write(step).await.unwrap();
        assert_eq!(count(&broker, QUESTIONS).await, BACKLOG);
        assert!(slow.next().await.is_err_and(|e| e.is_transient()));
        let _answers = broker.ask(question("q1")).await.unwrap();
        assert_eq!(slow.next().await.unwrap().id, "q1");
    }

    #[tokio::test]
    async fn questions_make_room_by_their_bytes_and_their_age() {
        let broker = broker();
        let put = |n: usize, size: usize| {
            let step = move |tx: &mut Tx<'_>| {
                let body = vec![0; size];
                (0..n).try_for_each(|_| put_question(tx, &body))
            };
            broker.link.write(step)
        };
        put(9, MAX_BODY).await.unwrap();
        assert_eq!(count(&broker, QUESTIONS).await, 8);
        put(1, 1).await.unwrap();
        assert_eq!(count(&broker, QUESTIONS).await, 8);
        // With nobody who sweeps.
        let past = Duration::from_millis(KEPT_MS + 1);
        broker.advance(past).await.unwrap();
        put(1, 1).await.unwrap();
        assert_eq!(count(&broker, QUESTIONS).await, 1);
    }

    #[tokio::test]
    async fn who_listens_later_hears_only_what_is_new() {
        let broker = broker();
        let _answers = broker.ask(question("q1")).await.unwrap();
        let mut listener = broker.listen().await.unwrap();
        let _more = broker.ask(question("q2")).await.unwrap();
        assert_eq!(listener.next().await.unwrap().id, "q2");
    }

    #[tokio::test]
    async fn a_minute_later_nothing_is_left() {
        let broker = broker();
        let mut listener = broker.listen().await.unwrap();
        let answers = broker.ask(question("q1")).await.unwrap();
        let request = listener.next().await.unwrap();
        broker.reply(&request, answer("q1", "a")).await.unwrap();
        let expire = |n| broker.link.write(move |tx| expire(tx, n));
        broker
            .advance(Duration::from_millis(KEPT_MS - 10_000))
            .await
            .unwrap();
        assert_eq!(expire(500).await.unwrap(), 0);
        broker.advance(Duration::from_secs(11)).await.unwrap();
        assert_eq!(expire(500).await.unwrap(), 1);
        assert_eq!(count(&broker, QUESTIONS).await, 0);
        assert_eq!(count(&broker, ANSWERS).await, 0);
        // Numbers go on: the listener hears what comes then.
        let _more = broker.ask(question("q2")).await.unwrap();
        assert_eq!(listener.next().await.unwrap().id, "q2");
        drop(answers);
    }

    #[tokio::test]
    async fn an_asker_that_does_not_read_is_full_and_reading_makes_room() {
        let broker = broker();
        let mut listener = broker.listen().await.unwrap();
        let mut answers = broker.ask(question("q1")).await.unwrap();
        let request = listener.next().await.unwrap();
        let to = request.reply_to.clone();
        let step = move |tx: &mut Tx<'_>| {
            let body = serde_json::to_vec(&answer("q1", "a")).unwrap();
            (0..BACKLOG).try_for_each(|_| put_answer(tx, "q1", &to, &body))
        };
        broker.link.write(step).await.unwrap();
        let refused = broker.reply(&request, answer("q1", "late")).await;
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Refused));
        answers.next().await.unwrap();
        // What was read leaves by itself.
        while count(&broker, ANSWERS).await == BACKLOG {
            tokio::task::yield_now().await;
        }
        broker.reply(&request, answer("q1", "late")).await.unwrap();
        for _ in 1..BACKLOG {
            assert_eq!(answers.next().await.unwrap().body, "a");
        }
        assert_eq!(answers.next().await.unwrap().body, "late");
        drop(answers);
        while count(&broker, ANSWERS).await > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused() {
        let broker = broker();
        let mut listener = broker.listen().await.unwrap();
        let _answers = broker.ask(question("q1")).await.unwrap();
        let mut request = listener.next().await.unwrap();
        let large = answer("q1", &"x".repeat(MAX_BODY));
        let refused = broker.reply(&request, large).await;
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::TooLarge));
        request.reply_to = "x".repeat(MAX_ADDRESS + 1);
        let refused = broker.reply(&request, answer("q1", "a")).await;
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Invalid));
    }
}
