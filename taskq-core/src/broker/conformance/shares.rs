//! How claims are shared among queues that all have messages: by weight, or in strict order. Counted, never timed.

use std::sync::Arc;
use std::time::Duration;

use super::{Bench, done};
use crate::broker::{Consumer, Order, Served};
use crate::error::Error;
use crate::id::QueueName;

/// Two queues; their order is not that of their names.
fn queues() -> Result<[QueueName; 2], Error> {
    Ok([QueueName::new("z")?, QueueName::new("a")?])
}

fn served(queues: &[QueueName; 2], weights: [u32; 2]) -> Vec<Served> {
    let both = queues.iter().cloned().zip(weights);
    both.map(|(queue, weight)| Served { queue, weight })
        .collect()
}

/// Makes so many claims, ends what they bring, and counts it by queue.
async fn counts(
    consumer: &Arc<dyn Consumer>,
    queues: &[QueueName; 2],
    claims: usize,
    room: usize,
) -> Result<[usize; 2], Error> {
    let mut counts = [0; 2];
    for _ in 0..claims {
        for delivery in consumer.claim(room, Duration::ZERO).await? {
            let which = usize::from(delivery.queue == queues[1]);
            counts[which] += 1;
            consumer
                .finish(&delivery.queue, vec![done(&delivery)])
                .await?;
        }
    }
    Ok(counts)
}

fn are(counts: [usize; 2], expected: [usize; 2], slack: usize) {
    let off = counts[0].abs_diff(expected[0]);
    assert!(
        off <= slack && counts[1].abs_diff(expected[1]) <= slack,
        "{counts:?} should be {expected:?}, {slack} more or less"
    );
}

/// Claims of one message keep the shares of the weights over many claims.
pub async fn claims_of_one_keep_the_weights(bench: Bench) -> Result<(), Error> {
    let queues = queues()?;
    bench.send_to(&queues[0], 35).await?;
    bench.send_to(&queues[1], 35).await?;
    let consumer = bench.consumer_of(served(&queues, [3, 1]), Order::Weighted);
    let counted = counts(&consumer.await?, &queues, 40, 1).await?;
    are(counted, [30, 10], 1);
    Ok(())
}

/// So do claims of many, and those that one slot more or less makes uneven.
pub async fn claims_of_many_keep_the_weights(bench: Bench) -> Result<(), Error> {
    let queues = queues()?;
    bench.send_to(&queues[0], 60).await?;
    bench.send_to(&queues[1], 40).await?;
    let consumer = bench.consumer_of(served(&queues, [1, 3]), Order::Weighted);
    let consumer = consumer.await?;
    are(counts(&consumer, &queues, 3, 8).await?, [6, 18], 2);
    are(counts(&consumer, &queues, 4, 3).await?, [3, 9], 2);
    Ok(())
}

/// What a queue with nothing does not use goes to the others.
pub async fn a_queue_with_nothing_gives_its_share_away(bench: Bench) -> Result<(), Error> {
    let queues = queues()?;
    bench.send_to(&queues[0], 60).await?;
    let consumer = bench.consumer_of(served(&queues, [1, 9]), Order::Weighted);
    let counted = counts(&consumer.await?, &queues, 8, 10).await?;
    assert_eq!(counted, [60, 0]);
    Ok(())
}

/// A queue that had nothing for long gets its share from then on, and not what it would have got.
pub async fn what_had_nothing_has_saved_nothing_up(bench: Bench) -> Result<(), Error> {
    let queues = queues()?;
    bench.send_to(&queues[0], 50).await?;
    let consumer = bench.consumer_of(served(&queues, [1, 1]), Order::Weighted);
    let consumer = consumer.await?;
    assert_eq!(counts(&consumer, &queues, 30, 1).await?, [30, 0]);
    bench.send_to(&queues[1], 20).await?;
    are(counts(&consumer, &queues, 20, 1).await?, [10, 10], 2);
    Ok(())
}

/// In strict order, nothing comes from a queue while one before it has something.
pub async fn in_strict_order_the_first_come_first(bench: Bench) -> Result<(), Error> {
    let queues = queues()?;
    bench.send_to(&queues[1], 8).await?;
    bench.send_to(&queues[0], 5).await?;
    let consumer = bench.consumer_of(served(&queues, [1, 1]), Order::Strict);
    let consumer = consumer.await?;
    assert_eq!(counts(&consumer, &queues, 2, 2).await?, [4, 0]);
    let mixed = counts(&consumer, &queues, 1, 2).await?;
    assert_eq!(mixed[0], 1);
    assert_eq!(counts(&consumer, &queues, 1, 2).await?, [0, 2]);
    bench.send_to(&queues[0], 1).await?;
    assert_eq!(counts(&consumer, &queues, 1, 1).await?, [1, 0]);
    Ok(())
}

/// What the first leaves of a claim the later ones get.
pub async fn in_strict_order_the_later_get_what_is_left(bench: Bench) -> Result<(), Error> {
    let queues = queues()?;
    bench.send_to(&queues[0], 1).await?;
    bench.send_to(&queues[1], 5).await?;
    let consumer = bench.consumer_of(served(&queues, [1, 1]), Order::Strict);
    let counted = counts(&consumer.await?, &queues, 1, 4).await?;
    assert_eq!(counted, [1, 3]);
    Ok(())
}
