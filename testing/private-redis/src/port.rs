//! Ports of a test's own.

use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that systems give out by themselves: nobody who asks for any, and no outgoing connection, is given one of
/// these while its server is away.
const PORTS: Range<u16> = 10_000..20_000;

/// How many were looked at.
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 that is nobody else's, in this process or in another one, as long as this value lives: also while
/// nobody listens at it.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// The same number of the other protocol, which no server needs: who has that has the port.
    _mark: UdpSocket,
}

impl Port {
    /// One that nobody has and nobody listens at. Each process begins elsewhere, so that they seldom meet.
    pub(crate) fn take() -> Self {
        let many = u32::from(PORTS.end - PORTS.start);
        for _ in 0..many {
            let looked = LOOKED.fetch_add(1, Ordering::Relaxed);
            let at = process::id().wrapping_mul(97).wrapping_add(looked) % many;
            let number = PORTS.start + u16::try_from(at).expect("a port of the range");
            let Ok(mark) = UdpSocket::bind(("127.0.0.1", number)) else {
                continue;
            };
            if TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self {
                    number,
                    _mark: mark,
                };
            }
        }
        panic!("no port is free from {PORTS:?}");
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_to_nobody_else_until_it_is_let_go() {
        let first = Port::take();
        let many = u32::from(PORTS.end - PORTS.start);
        // As another process that begins where this one did.
        LOOKED.fetch_add(many - 1, Ordering::Relaxed);
        let others: Vec<Port> = (0..20).map(|_| Port::take()).collect();
        assert!(others.iter().all(|other| other.number != first.number));
        let number = first.number;
        assert!(UdpSocket::bind(("127.0.0.1", number)).is_err());
        drop(first);
        assert!(UdpSocket::bind(("127.0.0.1", number)).is_ok());
    }
}
