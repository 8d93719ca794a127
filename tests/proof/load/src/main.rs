//! The load of `make proof`: requests at fixed times through the proxy, with every answer checked.
//!
//! ```text
//! fermata-proof-load PROXY RATE    PROXY is an address with a port, RATE how many requests a second
//! ```
//!
//! It is a program of its own, because it has to be inside the node's network, and optimised, because it shares the
//! machine with what it measures. It sends until its standard input ends, and then writes what became of the requests
//! to its standard output as JSON.

use std::{
    env,
    error::Error,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{bail, ensure};
use bytes::Bytes;
use fermata_measure::{
    measured::{self, Measured},
    open_loop::{Lane, OpenLoop},
};
use fermata_proof_load::{Failure, Latency, SENDING, Tally};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, stdin},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [proxy, rate] = words.as_slice() else { bail!("expected the proxy's address and the rate") };
    generate(proxy.parse()?, rate.parse()?).await
}

/// How many requests may be under way at a time. Ten would do for 200 a second of 50 ms. But one that is sent to a Pod that is
/// gone waits for as long as the proxy does, which is up to 10 s, and whoever sends later because of that sends no load that is
/// given by the clock alone.
const LANES: usize = 2048;

/// No cell takes so long.
const LONGEST: Duration = Duration::from_mins(10);

/// How long a client waits for an answer; longer than the proxy does.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the way through the proxy to the application may take to be there.
const ROUTE_BOUND: Duration = Duration::from_secs(30);

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends load until standard input ends.
async fn generate(proxy: SocketAddr, rate: u32) -> anyhow::Result<()> {
    let idle = Arc::new(Mutex::new(Vec::new()));
    let ignored = Arc::new(Mutex::new(Notes::new()?));
    let mut client = Client { proxy, idle: Arc::clone(&idle), begun: Instant::now(), notes: ignored };
    let deadline = Instant::now() + ROUTE_BOUND;
    while let Err(failure) = client.send(0).await {
        ensure!(Instant::now() < deadline, "no right answer through the proxy: {failure}");
        sleep(PAUSE).await;
    }

    let notes = Arc::new(Mutex::new(Notes::new()?));
    let begun = Instant::now();
    let client = || Client { proxy, idle: Arc::clone(&idle), begun, notes: Arc::clone(&notes) };
    let lanes = (0..LANES).map(|_| client()).collect();
    println!("{SENDING}");
    let requests = usize::try_from(LONGEST.as_secs())? * usize::try_from(rate)?;
    let end = async {
        // Whatever ends the reading, nobody is there any more who wants this to go on.
        stdin().read_to_end(&mut Vec::new()).await.ok();
    };
    let measured = OpenLoop { rate, requests }.run_until(lanes, end).await?;

    let notes = locked(&notes);
    let mut tally = Tally {
        sent: measured.answers() + u64::try_from(notes.failures.len())?,
        latency: in_millis(measured.latency()),
        lateness: in_millis(notes.lateness.latency()),
        ..Tally::default()
    };
    for (failure, at) in &notes.failures {
        *tally.failed.entry(*failure).or_default() += 1;
        tally.failed_at.push(u64::try_from(at.as_millis())?);
    }
    println!("{}", serde_json::to_string(&tally)?);
    Ok(())
}

fn in_millis(latency: measured::Latency) -> Latency {
    Latency { p50: latency.p50 / 1e3, p99: latency.p99 / 1e3, max: latency.max / 1e3 }
}

/// What all clients together have seen.
#[derive(Debug)]
struct Notes {
    /// What failed, and when.
    failures: Vec<(Failure, Duration)>,
    /// How late requests were sent.
    lateness: Measured,
}

impl Notes {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { failures: Vec::new(), lateness: Measured::new()? })
    }
}

/// A client, which shares its connections to the proxy with the others.
struct Client {
    proxy: SocketAddr,
    /// Open connections without a request. The one that was used last is taken first, so that there are no more than it takes.
    idle: Arc<Mutex<Vec<SendRequest<Empty<Bytes>>>>>,
    begun: Instant,
    notes: Arc<Mutex<Notes>>,
}

/// What a lock holds, whoever has panicked with it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane for Client {
    async fn exchange(&mut self, turn: usize, due: Instant) -> anyhow::Result<bool> {
        locked(&self.notes).lateness.record(due.elapsed());
        let Err(failure) = self.send(turn).await else { return Ok(true) };
        let at = self.begun.elapsed();
        locked(&self.notes).failures.push((failure, at));
        Ok(false)
    }
}

impl Client {
    async fn send(&mut self, turn: usize) -> Result<(), Failure> {
        timeout(PATIENCE, self.send_and_check(turn)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn send_and_check(&mut self, turn: usize) -> Result<(), Failure> {
        let idle = locked(&self.idle).pop();
        let mut sender = match idle {
            Some(sender) if sender.is_ready() => sender,
            _ => self.connect().await?,
        };
        let request = Request::get(format!("/?token={turn}"))
            .header("Host", "app.test")
            .body(Empty::new())
            .map_err(|_| Failure::Wrong)?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
        // Whoever answers is not to be asked on this connection before it is free again.
        if sender.ready().await.is_ok() {
            locked(&self.idle).push(sender);
        }
        match status {
            StatusCode::OK if body.as_ref() == format!("token={turn}\n").as_bytes() => Ok(()),
            StatusCode::OK => Err(Failure::Wrong),
            StatusCode::BAD_GATEWAY => Err(Failure::BadGateway),
            StatusCode::GATEWAY_TIMEOUT => Err(Failure::GatewayTimeout),
            _ => Err(Failure::OtherStatus),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, Failure> {
        let stream = TcpStream::connect(self.proxy).await.map_err(|error| of_io(error.kind()))?;
        stream.set_nodelay(true).map_err(|error| of_io(error.kind()))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // It ends when the sender is gone; what goes wrong on it the sender hears.
        tokio::spawn(connection);
        Ok(sender)
    }
}

fn broken(error: &hyper::Error) -> Failure {
    let cause = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    cause.map_or(Failure::Reset, |cause| of_io(cause.kind()))
}

fn of_io(kind: ErrorKind) -> Failure {
    match kind {
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::TimedOut => Failure::Timeout,
        _ => Failure::Reset,
    }
}
