//! Questions to workers and their answers.

use super::Bench;
use crate::broker::Backend;
use crate::control::{Command, Reply, Request};
use crate::error::Error;

fn question(id: &str) -> Request {
    Request {
        id: id.into(),
        reply_to: String::new(),
        destination: Vec::new(),
        command: Command::Ping,
    }
}

async fn answer(broker: &dyn Backend, request: &Request, node: &str) -> Result<(), Error> {
    let reply = Reply {
        id: request.id.clone(),
        node: node.into(),
        body: serde_json::json!({"ok": "pong"}),
        notices: vec!["not all was looked at".to_owned()],
    };
    broker.reply(request, reply).await
}

/// A worker that listens hears the question; who asked hears its answer.
pub async fn a_question_is_answered(bench: Bench) -> Result<(), Error> {
    let mut heard = bench.broker.listen().await?;
    let elsewhere = bench.connect().await?;
    let mut answers = elsewhere.ask(question("q1")).await?;
    let request = heard.next().await?;
    assert_eq!(
        (request.id.as_str(), &request.command),
        ("q1", &Command::Ping)
    );
    answer(&*bench.broker, &request, "w1@host").await?;
    let reply = answers.next().await?;
    assert_eq!((reply.id.as_str(), reply.node.as_str()), ("q1", "w1@host"));
    assert_eq!(reply.body, serde_json::json!({"ok": "pong"}));
    Ok(())
}

/// A question reaches all who listen, and all their answers come back.
pub async fn every_listener_hears_a_question(bench: Bench) -> Result<(), Error> {
    let elsewhere = bench.connect().await?;
    let mut a = bench.broker.listen().await?;
    let mut b = elsewhere.listen().await?;
    let mut answers = bench.broker.ask(question("q1")).await?;
    for (listener, node) in [(&mut a, "a@h"), (&mut b, "b@h")] {
        let request = listener.next().await?;
        answer(&*elsewhere, &request, node).await?;
    }
    let mut nodes = [answers.next().await?.node, answers.next().await?.node];
    nodes.sort();
    assert_eq!(nodes, ["a@h", "b@h"]);
    Ok(())
}

/// The destination arrives as it was given, so that those who are not meant keep silent.
pub async fn a_question_says_whom_it_is_for(bench: Bench) -> Result<(), Error> {
    let mut heard = bench.broker.listen().await?;
    let mut request = question("q1");
    request.destination = vec!["w2@host".into()];
    let _answers = bench.broker.ask(request).await?;
    let _more = bench.broker.ask(question("q2")).await?;
    let (first, second) = (heard.next().await?, heard.next().await?);
    assert!(first.is_for("w2@host") && !first.is_for("w1@host"));
    assert!(second.is_for("w2@host") && second.is_for("w1@host"));
    Ok(())
}

/// Of two who ask at the same time each gets the answers to its own question alone.
pub async fn an_answer_reaches_its_own_asker(bench: Bench) -> Result<(), Error> {
    let elsewhere = bench.connect().await?;
    let mut heard = bench.broker.listen().await?;
    let mut first = bench.broker.ask(question("q1")).await?;
    let mut second = bench.broker.ask(question("q2")).await?;
    let mut third = elsewhere.ask(question("q3")).await?;
    let mut requests = Vec::new();
    for _ in 0..3 {
        requests.push(heard.next().await?);
    }
    // Answered in the other order: an answer to the wrong asker would be the first it hears.
    for request in requests.iter().rev() {
        answer(&*bench.broker, request, "w1@host").await?;
    }
    assert_eq!(first.next().await?.id, "q1");
    assert_eq!(second.next().await?.id, "q2");
    assert_eq!(third.next().await?.id, "q3");
    Ok(())
}

/// Whoever asked may be gone by the time of the answer.
pub async fn answering_a_gone_asker_is_no_error(bench: Bench) -> Result<(), Error> {
    let mut heard = bench.broker.listen().await?;
    drop(bench.broker.ask(question("q1")).await?);
    let request = heard.next().await?;
    answer(&*bench.broker, &request, "w1@host").await
}
