//! Claims in strict order ask several times: what the first rounds brought is held by nobody else.

use super::*;

/// A claim that is dropped between two of its rounds, or just before and behind them, strands nothing.
#[tokio::test]
async fn a_claim_dropped_between_its_rounds_strands_nothing() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (a, b) = (queue("a"), queue("b"));
    let options = ConsumerOptions {
        queues: vec![a.clone().into(), b.clone().into()],
        order: Order::Strict,
        lease: 10 * SECOND,
        node: "w".into(),
    };
    let consumer = broker.consume(options).await.unwrap();
    for tenths in 0..60 {
        for q in [&a, &b] {
            let batch: Vec<Outgoing> = (0..3).map(|_| outgoing(q)).collect();
            broker.enqueue(q, &batch, SEND).await.unwrap();
        }
        let moment = Duration::from_micros(100 * tenths);
        let got = match tokio::time::timeout(moment, consumer.claim(9, Duration::ZERO)).await {
            Ok(got) => got.unwrap(),
            Err(_) => Vec::new(),
        };
        let mut all = got;
        let missing = 6 - all.len();
        all.extend(deliver(&consumer, missing).await);
        for q in [&a, &b] {
            let here = all.iter().filter(|d| d.queue == *q);
            let verdicts: Vec<Verdict> = here.map(done).collect();
            assert_eq!(verdicts.len(), 3, "{q} after {moment:?}");
            consumer.finish(q, verdicts).await.unwrap();
        }
    }
}
