//! What a bell promises to those who wait, with several bells at one file as several processes have them.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::ears::{Ears, Sounds};
use super::others::Others;
use super::{Bell, Heard, Rings, Topic};

/// Not a measure: what does not come within this never comes.
const NEVER: Duration = Duration::from_secs(20);

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("q.db"), "").unwrap();
        Self { folder }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("q.db")
    }

    fn bell(&self) -> Bell {
        Bell::beside(&self.database())
    }

    fn file(&self, topic: &str) -> PathBuf {
        self.folder.path().join(format!("q.db-bell-{topic}"))
    }
}

fn rings(topic: Topic) -> Rings {
    let mut rings = Rings::default();
    rings.add(topic);
    rings
}

async fn rung(heard: Heard<'_>) {
    timeout(NEVER, heard).await.expect("the bell was not heard");
}

fn others(bell: &Bell) -> &Others {
    bell.tower.others.as_ref().unwrap()
}

/// What is told once the database is open: the first of its files that can not be written to.
#[test]
fn a_bell_that_can_not_be_struck_is_known_with_its_file() {
    let place = Place::new();
    assert!(others(&place.bell()).refusal().is_none());
    for file in [place.file("news"), place.file("talk")] {
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
    }
    let bell = place.bell();
    let (file, _) = others(&bell).refusal().unwrap();
    assert!(file.ends_with("q.db-bell-news"), "{}", file.display());
}

#[tokio::test]
async fn another_process_is_heard() {
    let place = Place::new();
    let (a, b) = (place.bell(), place.bell());
    for topic in Topic::ALL {
        let heard = a.heard(topic);
        b.ring(rings(topic));
        rung(heard).await;
    }
}

#[tokio::test]
async fn a_ring_between_look_and_wait_is_not_lost() {
    let place = Place::new();
    let (a, b) = (place.bell(), place.bell());
    for _ in 0..200 {
        let heard = a.heard(Topic::Work);
        // Here the caller looks; it finds nothing, and then:
        b.ring(rings(Topic::Work));
        tokio::task::yield_now().await;
        rung(heard).await;
    }
}

#[tokio::test]
async fn what_is_rung_beside_rings_of_our_own_is_heard() {
    let place = Place::new();
    let (a, b) = (place.bell(), place.bell());
    for _ in 0..200 {
        let heard = a.heard(Topic::Work);
        std::thread::scope(|scope| {
            scope.spawn(|| b.ring(rings(Topic::Work)));
            scope.spawn(|| a.ring(rings(Topic::Work)));
        });
        rung(heard).await;
    }
}

#[tokio::test]
async fn nobody_is_woken_for_what_he_does_not_wait_for() {
    let place = Place::new();
    let (a, b) = (attended_by_us(&place), place.bell());
    let work = a.heard(Topic::Work);
    // The kernel tells nothing of the others: the process sleeps on.
    for topic in [Topic::News, Topic::Talk] {
        b.ring(rings(topic));
        assert!(listened(&a, Duration::ZERO).is_empty(), "{topic:?}");
    }
    // And who looks, as is done now and then, wakes nobody for them either.
    assert_eq!(others(&a).hear(&Sounds::default(), true), Rings::default());
    b.ring(rings(Topic::News));
    b.ring(rings(Topic::Work));
    let sounds = listened(&a, NEVER);
    assert_eq!(others(&a).hear(&sounds, true), rings(Topic::Work));
    drop(work);
}

#[tokio::test]
async fn a_bell_that_nobody_waits_for_any_more_is_not_watched() {
    let place = Place::new();
    let (a, b) = (place.bell(), place.bell());
    drop(a.heard(Topic::News));
    let watched = || others(&a).desk().watches[Topic::News as usize].is_some();
    assert!(watched());
    b.ring(rings(Topic::News));
    timeout(NEVER, async {
        while watched() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap();
    // And the next who waits has it watched again.
    let heard = a.heard(Topic::News);
    b.ring(rings(Topic::News));
    rung(heard).await;
}

#[tokio::test]
async fn our_own_ring_is_no_news_to_us() {
    let place = Place::new();
    let (a, b) = (attended_by_us(&place), place.bell());
    let work = a.heard(Topic::Work);
    let mut waits = pin!(a.tower.waiting[Topic::Work as usize].notified());
    waits.as_mut().enable();
    a.ring(rings(Topic::Work));
    assert!(waits.as_mut().enable(), "who waits here was rung directly");
    // The kernel tells of it as of any other; it wakes nobody a second time, by a sound or by a look.
    let sounds = listened(&a, NEVER);
    assert!(!sounds.struck.is_empty());
    assert_eq!(others(&a).hear(&sounds, true), Rings::default());
    assert_eq!(others(&a).hear(&Sounds::default(), true), Rings::default());
    // Another's is told apart, also right behind one of ours.
    for _ in 0..3 {
        a.ring(rings(Topic::Work));
        b.ring(rings(Topic::Work));
        let sounds = listened(&a, NEVER);
        assert_eq!(others(&a).hear(&sounds, true), rings(Topic::Work));
    }
    drop(work);
}

/// A bell whose thread runs not: the test plays its part, with its ears.
fn attended_by_us(place: &Place) -> Bell {
    let others = Others::beside(&place.database());
    others.desk().attended = true;
    others.desk().ears = Some(Ears::open().unwrap().into());
    Bell::with(others)
}

/// What the kernel tells of the bells that are watched, within `most`.
fn listened(bell: &Bell, most: Duration) -> Sounds {
    let ears = others(bell).desk().ears.clone().unwrap();
    ears.wait(most).unwrap()
}

#[tokio::test]
async fn without_notifications_the_bells_are_looked_at() {
    let place = Place::new();
    // Nobody asks its ears.
    let (a, b) = (attended_by_us(&place), place.bell());
    let _waits = a.heard(Topic::Work);
    for missed in 1..=3 {
        assert!(others(&a).desk().ears.is_some(), "given up after {missed}");
        b.ring(rings(Topic::Work));
        assert_eq!(
            others(&a).hear(&Sounds::default(), true),
            rings(Topic::Work)
        );
    }
    assert!(others(&a).desk().ears.is_none());
    // From here on the thread looks: another bell that has no ears from the start.
    let slow = place.bell();
    drop(slow.heard(Topic::Work));
    others(&slow).desk().ears = None;
    others(&slow).desk().watches = [None; 3];
    for _ in 0..3 {
        let heard = slow.heard(Topic::Work);
        b.ring(rings(Topic::Work));
        rung(heard).await;
    }
}

#[tokio::test]
async fn bell_files_that_somebody_removed_are_made_again() {
    let place = Place::new();
    let (a, b) = (place.bell(), place.bell());
    drop(a.heard(Topic::Work));
    let heard = a.heard(Topic::Work);
    std::fs::remove_file(place.file("work")).unwrap();
    rung(heard).await;
    timeout(NEVER, async {
        while !place.file("work").exists() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap();
    // Who rings notices within a second.
    let mut heard = pin!(a.heard(Topic::Work));
    timeout(NEVER, async {
        while timeout(Duration::from_millis(50), heard.as_mut())
            .await
            .is_err()
        {
            b.ring(rings(Topic::Work));
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_thread_ends_with_the_bell() {
    let place = Place::new();
    let bell = place.bell();
    drop(bell.heard(Topic::Talk));
    let tower = std::sync::Arc::downgrade(&bell.tower);
    drop(bell);
    timeout(NEVER, async {
        while tower.strong_count() > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap();
}

#[cfg(unix)]
#[test]
fn who_may_write_the_database_may_ring() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let group = PermissionsExt::from_mode(0o660);
    std::fs::set_permissions(place.database(), group).unwrap();
    drop(place.bell());
    for topic in Topic::ALL {
        let file = std::fs::metadata(place.file(topic.name())).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o660);
    }
}

/// Whoever may write to the folder could have it lead to a file that only who rings may write to.
#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_bell_is_not_followed() {
    const TEXT: &str = "this is no bell";
    let anything = || Sounds {
        overflow: true,
        ..Sounds::default()
    };
    for is_laid_before in [true, false] {
        let place = Place::new();
        let secret = place.folder.path().join("secret");
        std::fs::write(&secret, TEXT).unwrap();
        let laid = is_laid_before.then(|| attended_by_us(&place));
        for file in Topic::ALL.map(|topic| place.file(topic.name())) {
            drop(std::fs::remove_file(&file));
            std::os::unix::fs::symlink(&secret, &file).unwrap();
        }
        let bell = laid.unwrap_or_else(|| attended_by_us(&place));
        others(&bell).hear(&anything(), false);
        Topic::ALL.into_iter().for_each(|t| bell.ring(rings(t)));
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), TEXT);
        let error = bell.alone(|| Ok(())).unwrap_err().to_string();
        let named = place.file("work").display().to_string();
        assert!(
            error.contains(&named) && error.contains("remove it"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_link_to_the_database_has_the_bells_of_the_database() {
    let place = Place::new();
    let link = place.folder.path().join("link.db");
    std::os::unix::fs::symlink(place.database(), &link).unwrap();
    let (a, b) = (Bell::beside(&link), place.bell());
    let heard = a.heard(Topic::Work);
    b.ring(rings(Topic::Work));
    rung(heard).await;
}

#[tokio::test]
async fn a_bell_that_can_not_be_made_rings_in_its_own_process() {
    let missing = PathBuf::from("/nowhere/at/all/q.db");
    let bell = Bell::beside(&missing);
    let heard = bell.heard(Topic::Work);
    bell.ring(rings(Topic::Work));
    rung(heard).await;
}

/// How long a ring takes to another process and back, and what waiting costs:
/// `cargo test -p taskq-core --lib bell::tests::measure::between -- --ignored --nocapture`
mod measure;
