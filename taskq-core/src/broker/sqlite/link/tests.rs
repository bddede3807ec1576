//! What a transaction that several steps share is to each of them.

use std::sync::mpsc::channel;

use super::*;

/// Ends the thread that writes, as a defect of it would.
pub(in super::super) async fn end(link: &Link) {
    struct Last;
    impl Step for Last {
        fn run(&mut self, _: &mut Tx<'_>) -> Result<(), Error> {
            Ok(())
        }
        fn undone(&mut self, _: Error) {}
        fn tell(self: Box<Self>) {
            panic!("the thread ends");
        }
    }
    assert!(link.writer.send(Some(Box::new(Last))).await.is_ok());
    link.writer.closed().await;
    assert!(!link.is_open());
}

fn insert(tx: &mut Tx<'_>, key: &str) -> Result<(), Error> {
    let sql = "INSERT INTO once (queue, key, holder, until) VALUES (1, ?1, x'', (SELECT count(*) FROM once))";
    tx.run(sql, [key]).map(drop)
}

async fn keys(link: &Link) -> Vec<String> {
    let sql = "SELECT key FROM once ORDER BY until";
    let look = link.read(|view| view.all(sql, (), |row| row.get(0)));
    look.await.unwrap()
}

type Told = Box<dyn FnOnce(&mut Tx<'_>) -> Result<(), Error> + Send>;

/// Asks for these at once, so that they share a transaction.
async fn together(link: &Link, steps: Vec<Told>) -> Vec<Result<(), Error>> {
    let (free, busy) = channel::<()>();
    let (begin, begun) = oneshot::channel();
    let hold = link.begin(move |_| {
        begin.send(()).unwrap_or_default();
        busy.recv().unwrap_or_default();
        Ok(())
    });
    let hold = hold.await.unwrap();
    // What is asked for from here on is of the next transaction.
    begun.await.unwrap();
    let mut answers = Vec::new();
    for step in steps {
        answers.push(link.begin(step).await.unwrap());
    }
    drop(free);
    hold.await.unwrap().unwrap();
    let mut came_to = Vec::new();
    for answer in answers {
        came_to.push(answer.await.unwrap());
    }
    came_to
}

#[tokio::test]
async fn a_step_that_fails_between_two_undoes_itself_alone() {
    let link = Link::open(&Location::Memory).unwrap();
    let came_to = together(
        &link,
        vec![
            Box::new(|tx| insert(tx, "a")),
            Box::new(|tx| insert(tx, "b").and_then(|()| Err(Error::invalid("no")))),
            Box::new(|tx| insert(tx, "c")),
        ],
    );
    let came_to = came_to.await;
    assert!(came_to[0].is_ok() && came_to[2].is_ok());
    assert_eq!(
        came_to[1].as_ref().map_err(Error::kind),
        Err(ErrorKind::Invalid)
    );
    assert_eq!(keys(&link).await, ["a", "c"]);
}

#[tokio::test]
async fn a_step_that_panics_between_two_undoes_itself_alone() {
    let link = Link::open(&Location::Memory).unwrap();
    let came_to = together(
        &link,
        vec![
            Box::new(|tx| insert(tx, "a")),
            Box::new(|tx| {
                insert(tx, "b")?;
                panic!("a defect");
            }),
            Box::new(|tx| insert(tx, "c")),
        ],
    );
    let came_to = came_to.await;
    assert!(came_to[0].is_ok() && came_to[2].is_ok());
    let error = came_to[1].as_ref().unwrap_err();
    assert!(error.to_string().contains("a defect of taskq"), "{error}");
    assert_eq!(keys(&link).await, ["a", "c"]);
    // And alone.
    let alone = link.write(|tx| -> Result<(), Error> {
        insert(tx, "d")?;
        panic!("a defect");
    });
    alone.await.unwrap_err();
    link.write(|tx| insert(tx, "e")).await.unwrap();
    assert_eq!(keys(&link).await, ["a", "c", "e"]);
}

#[tokio::test]
async fn what_is_urgent_goes_before_what_was_asked_for_earlier() {
    let link = Arc::new(Link::open(&Location::Memory).unwrap());
    let (free, busy) = channel::<()>();
    let (begin, begun) = channel();
    let hold = link.begin(move |_| {
        begin.send(()).unwrap();
        busy.recv().unwrap_or_default();
        Ok(())
    });
    drop(hold.await.unwrap());
    // What is asked for from here on is of the next transaction.
    begun.recv().unwrap();
    let mut answers = Vec::new();
    for n in 0..BACKLOG - 1 {
        answers.push(link.begin(move |tx| insert(tx, &n.to_string())).await);
    }
    let urgent = tokio::spawn({
        let link = link.clone();
        async move { link.write_first(|tx| insert(tx, "beat")).await }
    });
    while link.urgent.capacity() == BACKLOG {
        tokio::task::yield_now().await;
    }
    drop(free);
    urgent.await.unwrap().unwrap();
    for answer in answers {
        answer.unwrap().await.unwrap().unwrap();
    }
    assert_eq!(keys(&link).await[0], "beat");
    // One that is awaited by nothing else wakes the thread.
    link.write_first(|_| Ok(())).await.unwrap();
}

/// What makes the file no larger is done where that may not grow, too: what fell once with others is not given the next ones to take along.
#[tokio::test]
async fn steps_that_fill_the_disk_take_others_with_them_once() {
    let link = Link::open(&Location::Memory).unwrap();
    let room = link.write(|tx| {
        let pages: u32 = tx.one("PRAGMA page_count", (), |row| row.get(0))?;
        let sql = format!("PRAGMA max_page_count = {pages}");
        tx.one(&sql, (), |_| Ok(()))
    });
    room.await.unwrap();
    let fill = || -> Told {
        Box::new(|tx| {
            let sql = "INSERT INTO once (queue, key, holder, until) VALUES (1, 'x', zeroblob(1000000), 0)";
            tx.run(sql, ()).map(drop)
        })
    };
    let came_to = together(
        &link,
        vec![
            Box::new(|tx| insert(tx, "a")),
            fill(),
            Box::new(|tx| insert(tx, "b")),
            fill(),
            Box::new(|tx| insert(tx, "c")),
        ],
    );
    let counts: Vec<bool> = came_to.await.iter().map(Result::is_ok).collect();
    assert!(!counts[1] && !counts[3], "there was room: {counts:?}");
    // Those behind the first that fell; the one before it shared its transaction.
    assert!(counts[2] && counts[4], "{counts:?}");
    assert_eq!(keys(&link).await, ["b", "c"]);
}
