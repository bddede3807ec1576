//! The threads that have the file open: one that writes, one that reads.
//!
//! Steps that are asked for at the same time share one transaction, so a commit is paid once for all of them; each is
//! answered only once it is committed. Who gives up waiting stops nothing: its step runs to its end.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::TransactionBehavior;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::bell::Bell;
use super::beside::Beside;
use super::lifeline::Lifelines;
use super::log::Log;
use super::open::{self, Location};
use super::opened::Opened;
use super::revoked::Known;
use super::trouble::{found_no_room, trouble};
use super::tx::{Tx, View};
use crate::error::{Error, ErrorKind};

/// So many steps wait for a thread; who comes later waits until one of them is through.
const BACKLOG: usize = 1_024;

/// So many steps share a transaction.
const MAX_GROUP: usize = 256;

/// After one has fallen, so many steps have one of their own: what fails again takes no other with it. One that had one of its
/// own and fell counts as well: for as long as there is no room, none is shared.
const APART: usize = MAX_GROUP;

/// Who writes without a break gives other processes a turn after this …
const TURN: Duration = Duration::from_millis(50);

/// … for this long: those that wait for the lock look for it every millisecond.
const PAUSE: Duration = Duration::from_millis(2);

/// A call that is not answered within this is given up by its caller: a disk may hang for ever.
const DEADLINE: Duration = Duration::from_secs(30);

/// One file, open.
#[derive(Debug)]
pub(super) struct Link {
    path: Arc<Path>,
    bell: Arc<Bell>,
    lifelines: Arc<Lifelines>,
    /// `None` on its way: there is something urgent.
    writer: mpsc::Sender<Option<Box<dyn Step>>>,
    urgent: mpsc::Sender<Box<dyn Step>>,
    /// `None`: what is in memory has one connection.
    reader: Option<mpsc::Sender<Box<dyn Look>>>,
}

impl Link {
    /// Opens the file, makes or migrates it where that is due, and starts the threads.
    pub(super) fn open(location: &Location) -> Result<Self, Error> {
        let path: Arc<Path> = location.path().into();
        let bell = Arc::new(match location {
            Location::Memory => Bell::default(),
            Location::File(settings) => {
                open::make(settings)?;
                if !Beside::new(&path).is_known() {
                    // Beside a file that is another program's no bells are laid.
                    open::check(location)?;
                }
                Bell::beside(&path)
            }
        });
        let opened = Opened::new(location.clone(), &bell)?;
        let lifelines = Arc::new(match location {
            Location::Memory => Lifelines::default(),
            Location::File(_) => Lifelines::beside(&path),
        });
        let (writer, steps) = mpsc::channel(BACKLOG);
        let (urgent, first) = mpsc::channel(BACKLOG);
        let worker = Writer {
            opened,
            path: path.to_path_buf(),
            bell: bell.clone(),
            revoked: Known::default(),
            log: Log::default(),
            apart: 0,
            _lifelines: lifelines.clone(),
        };
        spawn("taskq-sqlite-w", move || worker.run(steps, first))?;
        let reader = match location {
            Location::Memory => None,
            Location::File(_) => {
                let opened = Opened::new(location.clone(), &bell)?;
                let (reader, looks) = mpsc::channel(BACKLOG);
                let (path, bell) = (path.to_path_buf(), bell.clone());
                spawn("taskq-sqlite-r", move || {
                    look_all(opened, &path, &bell, looks)
                })?;
                Some(reader)
            }
        };
        bell.tell_if_unheard();
        Ok(Self {
            path,
            bell,
            lifelines,
            writer,
            urgent,
            reader,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    pub(super) fn lifelines(&self) -> &Arc<Lifelines> {
        &self.lifelines
    }

    /// Runs `step` in a write transaction; its answer comes once that is committed.
    ///
    /// # Errors
    /// The step's own, with which it is undone; and the trouble of the file. A transient one leaves open whether it was done.
    pub(super) async fn write<T, F>(&self, step: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let mut answer = self.begin(step).await?;
        self.answered(&mut answer).await
    }

    /// The same, before all that is asked for by [`write`](Self::write): for what has to be in time.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn write_first<T, F>(&self, step: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (asked, mut answer) = ask(step);
        match timeout(DEADLINE, self.urgent.send(asked)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(self.ended()),
            Err(_) => return Err(self.hangs()),
        }
        // With a full channel the thread is awake, and looks for what is urgent before each group.
        drop(self.writer.try_send(None));
        self.answered(&mut answer).await
    }

    /// Whether its threads live.
    pub(super) fn is_open(&self) -> bool {
        let reads = self.reader.as_ref().is_none_or(|r| !r.is_closed());
        reads && !self.writer.is_closed()
    }

    /// As [`write`](Self::write), for who must not lose the answer when it is not awaited: the step is under way once this returns.
    pub(super) async fn begin<T, F>(
        &self,
        step: F,
    ) -> Result<oneshot::Receiver<Result<T, Error>>, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (asked, answer) = ask(step);
        match timeout(DEADLINE, self.writer.send(Some(asked))).await {
            Ok(Ok(())) => Ok(answer),
            Ok(Err(_)) => Err(self.ended()),
            Err(_) => Err(self.hangs()),
        }
    }

    /// Reads what `look` asks, all of it of one moment.
    ///
    /// # Errors
    /// The look's own, and the trouble of the file.
    pub(super) async fn read<T, F>(&self, look: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<T, Error> + Send + 'static,
    {
        let Some(reader) = &self.reader else {
            return self.write(move |tx| look(tx)).await;
        };
        let (to, mut answer) = oneshot::channel();
        let wanted = Wanted {
            look: Some(look),
            to: Some(to),
        };
        match timeout(DEADLINE, reader.send(Box::new(wanted))).await {
            Ok(Ok(())) => self.answered(&mut answer).await,
            Ok(Err(_)) => Err(self.ended()),
            Err(_) => Err(self.hangs()),
        }
    }

    /// Takes the lifeline of this process away if no consumer keeps it: on a thread that may wait for the disk, and
    /// whatever is the matter with the file.
    ///
    /// # Errors
    /// That thread has ended, or hangs.
    pub(super) async fn tidy(&self) -> Result<(), Error> {
        let Some(reader) = &self.reader else {
            return Ok(());
        };
        let (to, mut answer) = oneshot::channel();
        match timeout(DEADLINE, reader.send(self.tidying(to))).await {
            Ok(Ok(())) => self.answered(&mut answer).await,
            Ok(Err(_)) => Err(self.ended()),
            Err(_) => Err(self.hangs()),
        }
    }

    /// The same for who can not wait: with too much to do on that thread, the next one that leaves makes up for it.
    pub(super) fn tidy_later(&self) {
        if let Some(reader) = &self.reader {
            drop(reader.try_send(self.tidying(oneshot::channel().0)));
        }
    }

    fn tidying(&self, to: oneshot::Sender<Result<(), Error>>) -> Box<dyn Look> {
        Box::new(Tidy {
            lifelines: self.lifelines.clone(),
            to: Some(to),
        })
    }

    /// What a step that was begun came to. After an error of which none knows, it can be asked for again.
    pub(super) async fn answered<T>(
        &self,
        answer: &mut oneshot::Receiver<Result<T, Error>>,
    ) -> Result<T, Error> {
        match timeout(DEADLINE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.ended()),
            Err(_) => Err(self.hangs()),
        }
    }

    fn ended(&self) -> Error {
        let text = format!("the thread that serves {} has ended", self.path.display());
        Error::new(ErrorKind::Unreachable, text)
    }

    fn hangs(&self) -> Error {
        let file = self.path.display();
        Error::new(
            ErrorKind::Unreachable,
            format!("{file} did not answer within {DEADLINE:?}: does its disk hang?"),
        )
    }
}

/// A step on its way through the writing thread.
trait Step: Send {
    /// Does it; with an error it is to be undone.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Error>;

    /// It was undone for a reason that is not its own.
    fn undone(&mut self, why: Error);

    /// Tells its caller.
    fn tell(self: Box<Self>);
}

struct Asked<T, F> {
    step: Option<F>,
    answer: Option<Result<T, Error>>,
    to: oneshot::Sender<Result<T, Error>>,
}

type Answer<T> = oneshot::Receiver<Result<T, Error>>;

fn ask<T, F>(step: F) -> (Box<dyn Step>, Answer<T>)
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
{
    let (to, answer) = oneshot::channel();
    let asked = Asked {
        step: Some(step),
        answer: None,
        to,
    };
    (Box::new(asked), answer)
}

impl<T, F> Step for Asked<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let Some(step) = self.step.take() else {
            return Ok(());
        };
        let done = caught(|| {
            let answer = step(tx)?;
            tx.settle()?;
            Ok(answer)
        });
        let stands = done.as_ref().map(drop).map_err(Error::clone);
        self.answer = Some(done);
        stands
    }

    fn undone(&mut self, why: Error) {
        if !matches!(self.answer, Some(Err(_))) {
            self.answer = Some(Err(why));
        }
    }

    fn tell(self: Box<Self>) {
        if let Some(answer) = self.answer {
            // Who asked may be gone; the step is done all the same.
            drop(self.to.send(answer));
        }
    }
}

struct Writer {
    opened: Opened,
    path: PathBuf,
    bell: Arc<Bell>,
    revoked: Known,
    log: Log,
    /// So many of the next steps share no transaction.
    apart: usize,
    /// Held until the last step is through: what is under way is not of a process that is gone.
    _lifelines: Arc<Lifelines>,
}

impl Writer {
    fn run(
        mut self,
        mut steps: mpsc::Receiver<Option<Box<dyn Step>>>,
        mut urgent: mpsc::Receiver<Box<dyn Step>>,
    ) {
        let mut waiting = VecDeque::new();
        let mut since = Instant::now();
        loop {
            if waiting.is_empty() && steps.is_empty() {
                let Some(next) = steps.blocking_recv() else {
                    return;
                };
                waiting.extend(next);
                since = Instant::now();
            } else if since.elapsed() >= TURN && self.opened.is_file() {
                thread::sleep(PAUSE);
                since = Instant::now();
            }
            while waiting.len() < MAX_GROUP
                && let Ok(next) = steps.try_recv()
            {
                waiting.extend(next);
            }
            let mut first = 0;
            while let Ok(next) = urgent.try_recv() {
                waiting.insert(first, next);
                first += 1;
            }
            // With none of the others: one that the disk has no room for would undo a beat, and cost a session.
            while first > 0 {
                first -= self.settle(&mut waiting, first);
            }
            if !waiting.is_empty() {
                self.settle(&mut waiting, MAX_GROUP);
            }
        }
    }

    /// Commits the next of these steps, `most` of them at most, and tells their callers; how many they were.
    fn settle(&mut self, waiting: &mut VecDeque<Box<dyn Step>>, most: usize) -> usize {
        let most = if self.apart > 0 { 1 } else { most };
        let most = most.min(waiting.len());
        self.apart = self.apart.saturating_sub(most);
        let group = &mut waiting.make_contiguous()[..most];
        let mut done = 0;
        if let Err(why) = self.commit(group, &mut done) {
            if found_no_room(&why) {
                self.log.begin_again(&mut self.opened);
            }
            if done == 0 {
                // None of them could be begun.
                done = group.len();
            } else {
                self.apart = APART;
            }
            let undone = group.iter_mut().take(done);
            undone.for_each(|step| step.undone(why.clone()));
        }
        waiting.drain(..done).for_each(Step::tell);
        self.log.keep_short(&mut self.opened);
        done
    }

    /// One transaction of the first of these steps, `done` of them: others are not kept waiting for longer than a turn. An
    /// error: none of those counts.
    fn commit(&mut self, group: &mut [Box<dyn Step>], done: &mut usize) -> Result<(), Error> {
        let path = &self.path;
        let failed = |e| trouble(path, e);
        if self.opened.follow(&self.bell)? {
            tracing::warn!(
                file = %path.display(),
                "another file was put in its place: this process goes on with that one, and what is not in it is gone"
            );
            self.revoked = Known::default();
        }
        let alone = group.len() == 1;
        let begun = self
            .opened
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let since = Instant::now();
        let mut tx = Tx::new(View::new(&begun, path, &self.revoked)?);
        for step in group {
            *done += 1;
            if alone {
                if let Err(why) = step.run(&mut tx) {
                    let fell = begun.is_autocommit();
                    return if fell { Err(why) } else { Ok(()) };
                }
                break;
            }
            begun.execute_batch("SAVEPOINT step").map_err(failed)?;
            if let Err(why) = step.run(&mut tx) {
                tx.forget();
                // SQLite may have given up the whole transaction (a full disk): then nobody's step counts.
                if begun.is_autocommit() {
                    return Err(why);
                }
                begun.execute_batch("ROLLBACK TO step").map_err(failed)?;
            }
            begun.execute_batch("RELEASE step").map_err(failed)?;
            if since.elapsed() >= TURN {
                break;
            }
        }
        let rings = tx.rings();
        begun.commit().map_err(failed)?;
        // Before anybody is told that it counts.
        self.opened.stands()?;
        self.bell.ring(rings);
        Ok(())
    }
}

/// A question on its way through the reading thread.
trait Look: Send {
    fn run(&mut self, view: Result<&View<'_>, Error>);
}

struct Wanted<T, F> {
    look: Option<F>,
    to: Option<oneshot::Sender<Result<T, Error>>>,
}

impl<T, F> Look for Wanted<T, F>
where
    T: Send,
    F: FnOnce(&View<'_>) -> Result<T, Error> + Send,
{
    fn run(&mut self, view: Result<&View<'_>, Error>) {
        if let (Some(look), Some(to)) = (self.look.take(), self.to.take()) {
            let answer = view.and_then(|view| caught(|| look(view)));
            drop(to.send(answer));
        }
    }
}

/// Looks at nothing in the file, so it is done whatever is the matter with that.
struct Tidy {
    lifelines: Arc<Lifelines>,
    to: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Look for Tidy {
    fn run(&mut self, _: Result<&View<'_>, Error>) {
        self.lifelines.tidy();
        if let Some(to) = self.to.take() {
            drop(to.send(Ok(())));
        }
    }
}

fn look_all(
    mut opened: Opened,
    path: &Path,
    bell: &Bell,
    mut looks: mpsc::Receiver<Box<dyn Look>>,
) {
    let mut revoked = Known::default();
    while let Some(mut look) = looks.blocking_recv() {
        match opened.follow(bell) {
            Ok(false) => {}
            Ok(true) => revoked = Known::default(),
            Err(error) => {
                look.run(Err(error));
                continue;
            }
        }
        let begun = match opened.connection.unchecked_transaction() {
            Ok(begun) => begun,
            Err(error) => {
                look.run(Err(trouble(path, error)));
                continue;
            }
        };
        match View::new(&begun, path, &revoked) {
            Ok(view) => look.run(Ok(&view)),
            Err(error) => look.run(Err(error)),
        }
    }
}

/// A step that panics fails alone; the thread lives on.
fn caught<T>(step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
        let text = "a step of the SQLite broker panicked: this is a defect of taskq";
        Err(Error::new(ErrorKind::Protocol, text))
    })
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name.into()).spawn(run);
    spawned.map(drop).map_err(|e| {
        Error::new(
            ErrorKind::Refused,
            "no thread for the SQLite broker: raise the limit of processes",
        )
        .because(e)
    })
}

#[cfg(test)]
pub(super) mod tests;
