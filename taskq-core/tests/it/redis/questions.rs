//! Questions of other versions, and what is no question, on the channel that all workers listen to.

use taskq_core::broker::Control;
use taskq_core::control::{Command, Request};

use super::*;

#[tokio::test]
async fn a_command_that_is_not_known_is_heard_by_its_name_and_noise_is_not_heard() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let mut heard = broker.listen().await.unwrap();
    let long = "x".repeat(1_000);
    for json in [
        "noise".to_owned(),
        r#"{"id":"q0"}"#.to_owned(),
        r#"{"id":"q1","reply_to":"taskq:0:reply:x","destination":["w1@h"],"command":{"dance":{"n":1}},"new":0}"#.to_owned(),
        r#"{"id":"q2","reply_to":"taskq:0:reply:x","command":"sing"}"#.to_owned(),
        // A command that is known, with what this version can not read.
        r#"{"id":"q3","reply_to":"taskq:0:reply:x","command":{"pool_grow":{"n":"many"}}}"#.to_owned(),
        format!(r#"{{"id":"q4","reply_to":"taskq:0:reply:x","command":"{long}"}}"#),
    ] {
        let heard_by = server.command(&format!("PUBLISH taskq:0:control '{json}'"));
        assert_eq!(heard_by, ":1");
    }
    for (id, name) in [
        ("q1", "dance"),
        ("q2", "sing"),
        ("q3", "pool_grow"),
        ("q4", &long[..64]),
    ] {
        let request = heard.next().await.unwrap();
        assert_eq!(
            (&*request.id, request.command),
            (id, Command::Unknown(name.to_owned()))
        );
    }
    // Such a one is read, never sent.
    let request = Request {
        id: "q5".into(),
        reply_to: String::new(),
        destination: Vec::new(),
        command: Command::Unknown("dance".into()),
    };
    assert_eq!(
        broker.ask(request).await.err().unwrap().kind(),
        ErrorKind::Protocol
    );
}
