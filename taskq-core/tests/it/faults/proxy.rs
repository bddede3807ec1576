//! A wire that lies: between a client and Redis it loses requests, loses replies to requests that were applied,
//! carries requests out late, long after their sender gave up, and falls silent without closing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long an answer that nobody hears is waited for: a blocked pop answers within a second.
const UNHEARD: Duration = Duration::from_millis(1500);

/// What the wire does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    LoseRequest,
    LoseReply,
    Late,
    /// From this request on the connection is silent, both ways, and stays open.
    Mute,
}

/// The wire. Everything it does comes from its seed and the order of the requests.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: SocketAddr,
    /// Share of requests that meet a fault, in 1/1000.
    faulty: AtomicU64,
    /// Share of requests from which on their connection is silent, in 1/1000.
    muting: AtomicU64,
    cut: watch::Sender<bool>,
    over: AtomicBool,
    seed: u64,
    connections: AtomicU64,
    lost_requests: AtomicU64,
    lost_replies: AtomicU64,
    late_requests: AtomicU64,
    muted: AtomicU64,
    /// Requests that still lie with the wire.
    under_way: AtomicU64,
    max_late: Duration,
}

/// What the wire did so far.
#[derive(Debug, Clone, Copy, Default)]
#[expect(dead_code, reason = "read by its Debug form")]
pub(crate) struct Lies {
    pub(crate) lost_requests: u64,
    pub(crate) lost_replies: u64,
    pub(crate) late_requests: u64,
    pub(crate) muted: u64,
}

impl Proxy {
    /// A wire to the Redis at `port`; requests that come late do so within `max_late`.
    pub(crate) async fn start(port: u16, seed: u64, max_late: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port for the proxy");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            faulty: AtomicU64::new(0),
            muting: AtomicU64::new(0),
            cut: watch::Sender::new(false),
            over: AtomicBool::new(false),
            seed,
            connections: AtomicU64::new(0),
            lost_requests: AtomicU64::new(0),
            lost_replies: AtomicU64::new(0),
            late_requests: AtomicU64::new(0),
            muted: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            max_late,
        });
        tokio::spawn(accept(listener, state.clone()));
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// From now on this share (in 1/1000) of requests meets a fault, and after that share the connection is silent.
    /// A connection that is silent already stays so.
    pub(crate) fn faulty(&self, permille: u64, muting: u64) {
        self.state.faulty.store(permille, Ordering::Relaxed);
        self.state.muting.store(muting, Ordering::Relaxed);
    }

    /// Cuts all connections and refuses new ones, or ends that.
    pub(crate) fn outage(&self, on: bool) {
        self.state.cut.send_replace(on);
    }

    pub(crate) fn lies(&self) -> Lies {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Lies {
            lost_requests: read(&self.state.lost_requests),
            lost_replies: read(&self.state.lost_replies),
            late_requests: read(&self.state.late_requests),
            muted: read(&self.state.muted),
        }
    }

    /// Whether requests still lie with the wire, to be carried out later.
    pub(crate) fn holds_requests(&self) -> bool {
        self.state.under_way.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        self.state.cut.send_replace(true);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.over.load(Ordering::Relaxed) {
            return;
        }
        if *state.cut.borrow() {
            continue;
        }
        let number = state.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(carry(
            client,
            state.clone(),
            StdRng::seed_from_u64(state.seed ^ (number << 20)),
        ));
    }
}

/// One connection: request by request until a fault or an outage ends it.
async fn carry(mut client: TcpStream, state: Arc<State>, mut rng: StdRng) {
    let Ok(mut server) = TcpStream::connect(state.server).await else {
        return;
    };
    // Best effort: without it the run is only slower.
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let mut cut = state.cut.subscribe();
    let (mut request, mut reply) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    loop {
        tokio::select! {
            () = async { drop(cut.wait_for(|cut| *cut).await) } => return,
            read = client.read(&mut request) => {
                let Ok(n @ 1..) = read else { return };
                let late = Duration::from_millis(rng.random_range(0..state.max_late.as_millis() as u64));
                match fault(&mut rng, &state) {
                    Fault::None => if server.write_all(&request[..n]).await.is_err() { return },
                    Fault::LoseRequest => {
                        state.lost_requests.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    Fault::LoseReply => {
                        state.lost_replies.fetch_add(1, Ordering::Relaxed);
                        apply(server, &request[..n]).await;
                        return;
                    }
                    Fault::Late => {
                        state.late_requests.fetch_add(1, Ordering::Relaxed);
                        state.under_way.fetch_add(1, Ordering::SeqCst);
                        drop(client);
                        tokio::time::sleep(late).await;
                        apply(server, &request[..n]).await;
                        state.under_way.fetch_sub(1, Ordering::SeqCst);
                        return;
                    }
                    Fault::Mute => {
                        state.muted.fetch_add(1, Ordering::Relaxed);
                        // Half of these requests are applied, and only the answer is never heard.
                        if rng.random_bool(0.5) && server.write_all(&request[..n]).await.is_err() {
                            return;
                        }
                        let over = async { drop(cut.wait_for(|cut| *cut).await) };
                        tokio::join!(
                            async { tokio::select! { () = over => (), () = swallow(&mut client) => () } },
                            async { drop(tokio::time::timeout(UNHEARD, server.read(&mut reply)).await) },
                        );
                        return;
                    }
                }
            }
            read = server.read(&mut reply) => {
                let Ok(n @ 1..) = read else { return };
                if client.write_all(&reply[..n]).await.is_err() { return }
            }
        }
    }
}

fn fault(rng: &mut StdRng, state: &State) -> Fault {
    let permille = state.faulty.load(Ordering::Relaxed);
    if rng.random_range(0..1000) < state.muting.load(Ordering::Relaxed) {
        return Fault::Mute;
    }
    match rng.random_range(0..3000) {
        n if n < permille => Fault::LoseRequest,
        n if n < 2 * permille => Fault::LoseReply,
        n if n < 3 * permille => Fault::Late,
        _ => Fault::None,
    }
}

/// Takes what the client says until it closes, and answers nothing.
async fn swallow(client: &mut TcpStream) {
    let mut unheard = vec![0; 64 << 10];
    while client.read(&mut unheard).await.is_ok_and(|n| n > 0) {}
}

/// Carries the request out; nobody hears the answer.
async fn apply(mut server: TcpStream, request: &[u8]) {
    if server.write_all(request).await.is_ok() {
        let mut unheard = vec![0; 64 << 10];
        drop(tokio::time::timeout(UNHEARD, server.read(&mut unheard)).await);
    }
}
