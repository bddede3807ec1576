//! What the monitor finds well.

use compose::get;

use crate::deliveries::until;

/// Asks until the monitor finds it well: it gives each 2 s, and the machine may be busy for longer.
pub(crate) fn is_well(monitor: &str, pointer: &str) {
    until(&format!("{pointer} is well"), || {
        let status = get(monitor, "/monitor/status").unwrap();
        assert_eq!(status.status, 200, "{}", status.body);
        let found = status.body.pointer(&format!("{pointer}/ok"))?;
        (found == true).then_some(())
    });
}
