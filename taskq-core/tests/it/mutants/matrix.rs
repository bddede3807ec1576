//! Every case over every mutant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use taskq_core::broker::conformance::{CASES, Case};
use tokio::runtime::{Builder, Runtime};

use super::trial::hold;
use super::{Flaw, Mutant};

/// A mutant that more cases kill than this is broken all over: it says nothing for any one of them.
const BROAD: usize = CASES.len() / 6;

/// A case that asks more than this of a broker is slow: it is run only over mutants that no other kills, and must have
/// one of those.
const HEAVY: usize = 120;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// A case of the suite.
struct Named {
    name: &'static str,
    case: Case,
    heavy: bool,
    /// The calls it makes.
    calls: BTreeSet<&'static str>,
}

/// All cases, weighed on a broker without a flaw.
///
/// The control: such a broker passes them all, so what kills a mutant is its flaw.
fn cases(runtime: &Runtime) -> Vec<Named> {
    let weighed = CASES.iter().map(|(name, case)| {
        let sound = Mutant::new(Flaw::None);
        let kept = hold(runtime, *case, &sound);
        assert_eq!(kept, Ok(()), "the control fails {name}");
        Named {
            name,
            case: *case,
            heavy: sound.weight() > HEAVY,
            calls: sound.calls(),
        }
    });
    weighed.collect()
}

/// The names of the cases that a mutant fails.
fn killers(runtime: &Runtime, flaw: Flaw, cases: &[Named]) -> Vec<&'static str> {
    let failed_of = |heavy| {
        let sees = |c: &Named| flaw.shows_at().iter().any(|call| c.calls.contains(call));
        let here = cases.iter().filter(|c| c.heavy == heavy && sees(c));
        let failed = here.filter(|c| hold(runtime, c.case, &Mutant::new(flaw)).is_err());
        failed.map(|c| c.name).collect::<Vec<_>>()
    };
    let names = failed_of(false);
    if names.is_empty() {
        failed_of(true)
    } else {
        names
    }
}

/// What kills each mutant, in the order of [`Flaw::ALL`]; a thread per core works at it.
fn rows(cases: &[Named]) -> Vec<Vec<&'static str>> {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let runtime = runtime();
                loop {
                    let row = next.fetch_add(1, Ordering::SeqCst);
                    let Some((flaw, _)) = Flaw::ALL.get(row) else {
                        break;
                    };
                    let names = killers(&runtime, *flaw, cases);
                    rows.lock().unwrap().insert(row, names);
                }
            });
        }
    });
    rows.into_inner().unwrap().into_values().collect()
}

/// No flaw goes unseen, and there is no case that can not fail.
#[test]
fn every_mutant_dies_and_every_case_kills() {
    let cases = cases(&runtime());
    let mut kills: BTreeMap<&str, Vec<Flaw>> = BTreeMap::new();
    let mut table = String::new();
    let mut wrong = Vec::new();
    for ((flaw, what), killers) in Flaw::ALL.iter().zip(rows(&cases)) {
        let (many, names) = (killers.len(), killers.join(", "));
        writeln!(table, "{flaw:?} ({many}): {names}").unwrap();
        if many == 0 {
            wrong.push(format!("mutant {flaw:?} survived: {what}"));
        } else if many <= BROAD {
            for name in killers {
                kills.entry(name).or_default().push(*flaw);
            }
        }
    }
    for Named { name, .. } in &cases {
        match kills.get(name) {
            Some(flaws) => writeln!(table, "{name} kills {flaws:?}").unwrap(),
            None => wrong.push(format!("case {name} kills nobody")),
        }
    }
    assert!(wrong.is_empty(), "{table}\n{}", wrong.join("\n"));
}
