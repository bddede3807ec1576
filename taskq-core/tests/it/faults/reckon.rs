//! The reckoning: what was accepted ended once, in one place, and what is counted is there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use taskq_core::{Message, State, TaskId};

use super::acks::Done;
use super::life;
use super::place::Kind;
use super::process;
use super::produce::Sent;
use super::world::World;

impl World {
    pub(super) async fn reckon(&self, owed: &HashMap<TaskId, Sent>) -> usize {
        let mix = self.site.mix;
        let (done, broken) = self.books.acks.told();
        assert!(broken.is_empty(), "{broken:#?}");
        let mut ended = HashMap::new();
        self.look_for_ends(owed, &mut ended).await;
        let wrong = self.place.audit();
        assert!(wrong.is_empty(), "{wrong:#?}");
        self.reckon_runs().await;
        if mix.meddle {
            self.reckon_meddled(owed, &done).await;
            return done.len();
        }
        let poison = self.producer.poison();
        let charged = mix.kill || mix.pause || mix.rollback || mix.mute;
        for (id, ends) in &ended {
            assert_eq!(
                ends.len(),
                1,
                "{id} was finished {} times: {ends:?}",
                ends.len()
            );
            if poison.contains(id) {
                assert_eq!(ends[0], State::Dead, "the poison {id} must be DEAD");
            } else if !charged {
                assert_ne!(ends[0], State::Dead, "the innocent {id} must not be DEAD");
            }
        }
        for (id, sent) in owed {
            let record = self.broker.record(*id, Some(&sent.queue)).await.unwrap();
            let record = record.unwrap_or_else(|| panic!("{id} has no record"));
            assert_eq!(
                record.state, ended[id][0],
                "{id}: the record and the dead set disagree"
            );
            let kind = if sent.succeeds {
                State::Success
            } else {
                State::Failure
            };
            assert!(
                [kind, State::Dead].contains(&record.state),
                "{id} ended as {}, which it can not",
                record.state
            );
            if let Some(done) = done.get(id) {
                let result = record.result.map(|r| r.get().to_owned());
                assert_eq!(
                    result,
                    Some(done.run.to_string()),
                    "{id}: its record is not of the run whose finish counted"
                );
            }
        }
        self.count(&ended).await;
        done.len()
    }

    /// How often messages ran, and what was charged for it, is explained by what befell the processes.
    async fn reckon_runs(&self) {
        let (mix, added) = (self.site.mix, self.books.added());
        // Over a server it was never seen that a process comes too late for its lease by itself.
        let charged = match self.kind {
            Kind::Server => added.charged,
            Kind::File => added.unexplained,
        };
        assert!(
            charged == 0 || !mix.is_chargeless(),
            "{added:?}: charged with a crash, and nobody was away alone"
        );
        if self.kind == Kind::Server {
            return;
        }
        let too_often = self.books.ran_too_often();
        assert!(too_often.is_empty(), "{too_often:#?}");
        if mix.rollback {
            return;
        }
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let ends = read(&self.books.deaths) + read(&self.books.warm_stops);
        let (mut crashed, mut given) = (0, 0);
        for queue in &self.site.queues {
            let totals = self.broker.totals(queue).await.unwrap();
            crashed += totals.crashed;
            given += totals.sent + totals.retried + totals.returned;
        }
        // Slots, and verdicts on their way.
        let most = life::slots(mix, 0, 0) as u64 + process::UNTOLD as u64;
        let away = ends + added.late as u64;
        assert!(
            crashed <= away * most,
            "{crashed} crashes, and {away} times somebody was away"
        );
        assert!(added.runs <= given, "{added:?}, and {given} were given");
    }

    /// Somebody meddled: a message may be REVOKED, and dead more than once in its time, but lies there once.
    async fn reckon_meddled(&self, owed: &HashMap<TaskId, Sent>, done: &HashMap<TaskId, Done>) {
        let (orders, mut entries) = (&self.books.orders, HashMap::new());
        let mut replayed = 0;
        for queue in &self.site.queues {
            for dead in self.broker.dead(queue, 0, 1000).await.unwrap() {
                let id = Message::decode(&dead.body).unwrap().id;
                *entries.entry(id).or_insert(0) += 1;
            }
            let totals = self.broker.totals(queue).await.unwrap();
            let lies = self.broker.depth(queue).await.unwrap().dead;
            // Each time it was put in, it came to one end.
            let over = totals.succeeded + totals.failed + totals.dead + totals.revoked;
            assert_eq!(totals.sent, over, "{queue}: {totals:?}");
            replayed += (totals.failed + totals.dead).checked_sub(lies).unwrap();
        }
        let came = orders.came();
        assert!(replayed >= came.replayed, "{replayed} of {came:?}");
        let mut wrong = Vec::new();
        for (id, sent) in owed {
            let record = self.broker.record(*id, Some(&sent.queue)).await.unwrap();
            let record = record.unwrap_or_else(|| panic!("{id} has no record"));
            let kind = if sent.succeeds {
                State::Success
            } else {
                State::Failure
            };
            let entries = entries.get(id).copied().unwrap_or(0);
            let done = done.get(id).map(|done| done.run);
            wrong.extend(orders.misjudged(&sent.queue, kind, &record, entries, done));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// The totals tell of each message that was ever put in: how it ended, or it still lies there.
    async fn count(&self, ended: &HashMap<TaskId, Vec<State>>) {
        let (mut failed, mut dead, mut succeeded) = (0, 0, 0);
        for queue in &self.site.queues {
            let (totals, depth) = (
                self.broker.totals(queue).await.unwrap(),
                self.broker.depth(queue).await.unwrap(),
            );
            let over = totals.succeeded + totals.failed + totals.dead;
            let left = depth.waiting + depth.suspects + depth.delayed + depth.in_flight;
            assert_eq!(totals.sent, over + left, "{queue}: {totals:?}, {depth:?}");
            assert_eq!(
                totals.failed + totals.dead,
                depth.dead,
                "{queue}: {totals:?}"
            );
            assert!(totals.returned >= totals.crashed.saturating_sub(totals.dead));
            failed += totals.failed;
            dead += totals.dead;
            succeeded += totals.succeeded;
        }
        let ends = |state| ended.values().filter(|e| e[0] == state).count() as u64;
        assert_eq!((failed, dead), (ends(State::Failure), ends(State::Dead)));
        // What was put in without our knowing it (its answer was lost) has ended as well.
        assert!(succeeded >= ends(State::Success), "{succeeded}");
    }

    /// How each message ended, once for each finish that shows: the dead set keeps one entry for each, a SUCCESS its record.
    pub(super) async fn look_for_ends(
        &self,
        owed: &HashMap<TaskId, Sent>,
        ended: &mut HashMap<TaskId, Vec<State>>,
    ) {
        ended.retain(|_, ends| ends.as_slice() == [State::Success]);
        for queue in &self.site.queues {
            for dead in self.broker.dead(queue, 0, 1000).await.unwrap() {
                let message =
                    Message::decode(&dead.body).expect("only messages that decode were sent");
                ended.entry(message.id).or_default().push(dead.state);
            }
        }
        let meddled = self.site.mix.meddle;
        for (id, sent) in owed {
            if (sent.succeeds || meddled) && !ended.contains_key(id) {
                let record = self.broker.record(*id, Some(&sent.queue)).await.unwrap();
                let state = record.map(|r| r.state);
                if let Some(state @ (State::Success | State::Revoked)) = state {
                    ended.insert(*id, vec![state]);
                }
            }
        }
    }
}
