//! What is known of a process by its lifeline, and what is not. Several at one file are as several processes.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("q.db"), "").unwrap();
        Self { folder }
    }

    fn process(&self) -> Lifelines {
        let lines = Lifelines::beside(&self.folder.path().join("q.db"));
        lines.join();
        lines
    }

    /// What lies beside the database.
    fn left(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.folder.path()).unwrap();
        let paths = all.map(|entry| entry.unwrap().path());
        paths.filter(|path| !path.ends_with("q.db")).collect()
    }
}

#[test]
fn who_lives_is_not_over_and_who_is_gone_is() {
    let scene = Scene::new();
    let (a, b) = (scene.process(), scene.process());
    let (of_a, of_b) = (a.mark().unwrap(), b.mark().unwrap());
    assert_eq!(a.mark().unwrap(), of_a);
    assert_ne!(of_a, of_b);
    for lines in [&a, &b] {
        assert!(!lines.is_over(&of_a) && !lines.is_over(&of_b));
    }
    drop(a);
    assert!(b.is_over(&of_a) && !b.is_over(&of_b));
    // And stays so.
    assert!(b.is_over(&of_a));
}

/// Of several who ask at once none keeps the others from knowing.
#[test]
fn who_asks_is_not_taken_for_one_who_lives() {
    let scene = Scene::new();
    let (a, b) = (scene.process(), scene.process());
    let of_a = a.mark().unwrap();
    drop(a);
    let asking = File::open(&scene.left()[0]).unwrap();
    asking.lock_shared().unwrap();
    assert!(b.is_over(&of_a));
}

#[test]
fn who_ended_well_leaves_nothing_with_the_last_of_its_consumers() {
    let scene = Scene::new();
    let (a, b) = (scene.process(), scene.process());
    a.join();
    let of_a = a.mark().unwrap();
    a.leave();
    a.tidy();
    assert!(!b.is_over(&of_a));
    assert_eq!(scene.left().len(), 1);
    a.leave();
    // A step of one that was given up, which comes late.
    assert_eq!(a.mark(), None);
    a.tidy();
    assert!(scene.left().is_empty());
    // What is not there says nothing.
    assert!(!b.is_over(&of_a));
    // Whoever comes later has another one.
    a.join();
    assert_ne!(a.mark().unwrap(), of_a);
}

#[test]
fn what_can_not_be_known_is_not_said() {
    let scene = Scene::new();
    let b = scene.process();
    let of = |other: &dyn Fn(&str, &str) -> String| {
        let a = scene.process();
        let mark = a.mark().unwrap();
        drop(a);
        assert!(b.is_over(&mark));
        let (name, id) = mark.split_once(' ').unwrap();
        b.is_over(&other(name, id))
    };
    // Nothing was changed: so the rest is not for another reason.
    assert!(of(&|name, id| format!("{name} {id}")));
    let there = |name: &str| scene.folder.path().join(format!("q.db-life-{name}"));
    // Of another machine, by its name.
    assert!(!of(&|name, id| {
        let other = format!(
            "{}{}",
            if name.starts_with('0') { 1 } else { 0 },
            &name[1..]
        );
        fs::rename(there(name), there(&other)).unwrap();
        format!("{other} {id}")
    }));
    // A copy that was put in its place: its process may live.
    assert!(!of(&|name, id| {
        fs::copy(there(name), there("new")).unwrap();
        fs::rename(there("new"), there(name)).unwrap();
        format!("{name} {id}")
    }));
    assert!(!of(&|name, id| {
        fs::remove_file(there(name)).unwrap();
        format!("{name} {id}")
    }));
    for nonsense in ["", " ", "x", "../q.db 1 2 3", "a/b 1"] {
        assert!(!b.is_over(nonsense), "{nonsense}");
    }
    assert!(!Lifelines::default().is_over("x"));
}

#[test]
fn one_that_somebody_removed_is_made_anew() {
    let scene = Scene::new();
    let a = scene.process();
    let first = a.mark().unwrap();
    for left in scene.left() {
        fs::remove_file(left).unwrap();
    }
    let second = a.mark().unwrap();
    assert_ne!(first, second);
    let b = scene.process();
    assert!(!b.is_over(&first) && !b.is_over(&second));
}

#[test]
fn one_that_comes_back_to_its_name_is_held_still() {
    let scene = Scene::new();
    let (a, b) = (scene.process(), scene.process());
    let first = a.mark().unwrap();
    let (path, away) = (scene.left().remove(0), scene.folder.path().join("away"));
    fs::rename(&path, &away).unwrap();
    let second = a.mark().unwrap();
    assert_ne!(first, second);
    fs::rename(&away, &path).unwrap();
    assert!(!b.is_over(&first) && !b.is_over(&second));
    assert!(b.loose().is_empty());
    a.leave();
    a.tidy();
    assert!(scene.left().is_empty());
}

#[test]
fn a_disk_that_does_not_say_where_it_is_costs_no_lifeline() {
    let scene = Scene::new();
    let a = scene.process();
    let first = a.mark().unwrap();
    let (path, away) = (scene.left().remove(0), scene.folder.path().join("away"));
    fs::rename(&path, &away).unwrap();
    // To itself: that is an error, and not that of a file which is not there.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    assert_eq!(a.mark().unwrap(), first);
    fs::rename(&away, &path).unwrap();
    assert_eq!(a.mark().unwrap(), first);
}

#[test]
fn one_that_is_removed_again_and_again_is_made_each_time() {
    let scene = Scene::new();
    let a = scene.process();
    for _ in 0..MAX_FORMER * 3 {
        a.mark().unwrap();
        fs::remove_file(&scene.left()[0]).unwrap();
    }
    a.mark().unwrap();
    // What was removed is held no longer than until the next is made.
    assert_eq!(a.own().former.len(), 0);
}

#[test]
fn those_that_are_moved_again_and_again_are_bounded_and_it_is_told() {
    let scene = Scene::new();
    let a = scene.process();
    let away = scene.folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let line = || scene.left().into_iter().find(|path| *path != away).unwrap();
    for moved in 0..MAX_FORMER {
        a.mark().unwrap();
        fs::rename(line(), away.join(moved.to_string())).unwrap();
    }
    assert!(!a.own().told);
    assert_eq!(a.mark(), None);
    assert!(a.own().told);
    // One that can not come back any more makes room for the next.
    fs::remove_file(away.join("3")).unwrap();
    a.mark().unwrap();
    assert!(!a.own().told);
}

#[test]
fn what_another_machine_made_is_litter_once_it_is_old() {
    let scene = Scene::new();
    let a = scene.process();
    let other = scene
        .folder
        .path()
        .join(format!("q.db-life-{:032x}-{:016x}", 1, 2));
    let file = File::create(&other).unwrap();
    assert!(a.loose().is_empty());
    let made = std::time::SystemTime::now() - OLD;
    file.set_modified(made).unwrap();
    let loose = a.loose();
    assert_eq!(loose.len(), 1);
    loose[0].clear();
    assert!(!other.exists());
}

#[test]
fn only_what_nobody_holds_is_litter() {
    let scene = Scene::new();
    let (a, b) = (scene.process(), scene.process());
    let (of_a, of_b) = (a.mark().unwrap(), b.mark().unwrap());
    assert!(b.loose().is_empty());
    drop(a);
    fs::write(scene.folder.path().join("q.db-life-other"), "").unwrap();
    let loose = b.loose();
    let marks: Vec<&str> = loose.iter().map(|line| &*line.mark).collect();
    assert_eq!(marks, [&of_a]);
    // Whoever has taken it meanwhile keeps it.
    let taken = File::open(&loose[0].path).unwrap();
    taken.lock().unwrap();
    loose[0].clear();
    assert!(loose[0].path.exists());
    drop(taken);
    loose[0].clear();
    assert!(!loose[0].path.exists());
    assert!(!b.is_over(&of_a) && !b.is_over(&of_b));
    assert_eq!(scene.left().len(), 2);
}

/// Whatever lies in the folder beside them, and whichever of them stay.
#[test]
fn every_one_that_nobody_holds_is_found_sooner_or_later() {
    let scene = Scene::new();
    let b = scene.process();
    for other in 0..50 {
        fs::write(scene.folder.path().join(format!("other-{other}")), "").unwrap();
    }
    let gone = [scene.process(), scene.process(), scene.process()];
    let mut unseen: Vec<String> = gone.iter().map(|lines| lines.mark().unwrap()).collect();
    drop(gone);
    // By the bound of what is listed as by that of what is found. No one is hidden so long by chance.
    for (listed, most) in [(1, 10), (10, 1)] {
        let mut unseen = unseen.clone();
        for _ in 0..5_000 {
            for loose in b.some_loose(listed, most) {
                unseen.retain(|mark| *mark != loose.mark);
            }
            if unseen.is_empty() {
                break;
            }
        }
        assert!(unseen.is_empty(), "{listed} {most}: {unseen:?}");
    }
    unseen.retain(|mark| b.is_over(mark));
    assert_eq!(unseen.len(), 3);
}

/// Of several that make theirs while another takes away what nobody holds, none is without its own.
#[test]
fn what_is_being_made_is_not_lost_as_litter() {
    let scene = Scene::new();
    let sweeper = scene.process();
    std::thread::scope(|scope| {
        let made: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let lines = scene.process();
                        let mark = lines.mark().unwrap();
                        let (name, _) = mark.split_once(' ').unwrap();
                        let path = scene.folder.path().join(format!("q.db-life-{name}"));
                        assert!(path.exists());
                    }
                })
            })
            .collect();
        while made.iter().any(|thread| !thread.is_finished()) {
            for loose in sweeper.loose() {
                loose.clear();
            }
        }
    });
}

/// What lies elsewhere is no lifeline, whatever this user may do to it.
#[test]
fn a_link_in_the_place_of_one_is_not_followed() {
    let scene = Scene::new();
    let (a, b) = (scene.process(), scene.process());
    let mark = a.mark().unwrap();
    let (path, away) = (scene.left().remove(0), scene.folder.path().join("away"));
    drop(a);
    assert!(b.is_over(&mark) && b.loose().len() == 1);
    fs::rename(&path, &away).unwrap();
    std::os::unix::fs::symlink(&away, &path).unwrap();
    assert!(!b.is_over(&mark) && b.loose().is_empty());
}

/// Others see it as they see the database: who may use that can know.
#[test]
fn it_has_the_rights_of_the_database() {
    use std::os::unix::fs::PermissionsExt;
    for mode in [0o600, 0o660, 0o640] {
        let scene = Scene::new();
        let rights = PermissionsExt::from_mode(mode);
        fs::set_permissions(scene.folder.path().join("q.db"), rights).unwrap();
        let a = scene.process();
        a.mark().unwrap();
        let made = fs::metadata(&scene.left()[0]).unwrap().permissions();
        assert_eq!(made.mode() & 0o777, mode);
    }
}
