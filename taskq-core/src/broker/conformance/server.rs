//! What a broker says of itself.

use super::Bench;
use crate::error::Error;

/// It has a name and a version.
pub async fn a_broker_has_a_name_and_a_version(bench: Bench) -> Result<(), Error> {
    let info = bench.broker.server().await?;
    assert!(
        !info.name.is_empty() && !info.version.is_empty(),
        "{info:?}"
    );
    assert_eq!(info.name, bench.connect().await?.server().await?.name);
    Ok(())
}
