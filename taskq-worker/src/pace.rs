//! Pauses that are a share of the lease in force, which a session that is opened again may have changed.

use std::time::{Duration, Instant};

use taskq_core::broker::Consumer;

/// A lease that became shorter is noticed within so long.
const LOOK: Duration = Duration::from_millis(200);

/// Returns once `share` of the lease has passed since `began`.
///
/// Of a lease that changes meanwhile the shorter value counts: what was told to the broker before still lapses by it.
pub(crate) async fn share_of_lease(consumer: &dyn Consumer, share: f64, began: Instant) {
    let mut lease = Duration::MAX;
    loop {
        lease = lease.min(consumer.lease());
        // No loop goes faster than once per ms.
        let pause = lease.mul_f64(share).max(Duration::from_millis(1));
        let left = pause.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}
