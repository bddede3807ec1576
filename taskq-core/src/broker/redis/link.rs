//! One connection of our own: opened when needed, dropped at the first doubt, never shared.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, ServerError, Value};
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::keys::expected_type;
use super::scripts;
use crate::error::{Error, ErrorKind};

/// How much later than the end of a block the server is nudged: it has begun the block a little later than we.
const NUDGE: Duration = Duration::from_millis(2);

/// Opening one takes this long at most. While a server is mute and its backlog full, connects are dropped, and the kernel
/// asks again only after 1 s, then 2 s, then 4 s: one that goes on asking would not see its return for as long.
const CONNECT: Duration = Duration::from_millis(1500);

/// A connection with a deadline on every call.
#[derive(Debug)]
pub(super) struct Link {
    endpoint: Arc<Endpoint>,
    deadline: Duration,
    connection: Option<MultiplexedConnection>,
}

/// What the server said to one command.
pub(super) type Answer = Result<Value, Error>;

impl Link {
    /// A link whose calls take `deadline` at most; nothing is opened yet.
    pub(super) fn new(endpoint: &Arc<Endpoint>, deadline: Duration) -> Self {
        Self {
            endpoint: endpoint.clone(),
            deadline,
            connection: None,
        }
    }

    /// A link over a connection that is open already.
    pub(super) fn around(
        endpoint: &Arc<Endpoint>,
        deadline: Duration,
        connection: MultiplexedConnection,
    ) -> Self {
        Self {
            connection: Some(connection),
            ..Self::new(endpoint, deadline)
        }
    }

    /// One command.
    pub(super) async fn call(&mut self, command: &Cmd) -> Answer {
        let mut answers = self
            .all(std::slice::from_ref(command), Duration::ZERO)
            .await?;
        answers.pop().unwrap_or_else(|| Err(self.odd("no answer")))
    }

    /// Commands that may be carried out twice, on a connection that is seldom used: one that broke while nobody looked
    /// shows only at its next call, so they are repeated once on a new one. The first error of any is the answer.
    pub(super) async fn seldom(&mut self, commands: &[Cmd]) -> Result<(), Error> {
        let answers = match self.all(commands, Duration::ZERO).await {
            Err(error) if error.kind() == ErrorKind::Unreachable => {
                self.all(commands, Duration::ZERO).await
            }
            first => first,
        }?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }

    /// Several commands in one write. `Err`: the answers are unknown. `Ok`: one answer each.
    ///
    /// `blocks` is how long the commands may hold the connection by themselves.
    pub(super) async fn all(
        &mut self,
        commands: &[Cmd],
        blocks: Duration,
    ) -> Result<Vec<Answer>, Error> {
        self.exchange(commands, blocks, None).await
    }

    /// As [`all`](Self::all), and the server is nudged when the block is to end: an idle one looks at blocks that are over
    /// only every 100 ms, or when something comes.
    pub(super) async fn all_in_time(
        &mut self,
        commands: &[Cmd],
        blocks: Duration,
    ) -> Result<Vec<Answer>, Error> {
        self.exchange(commands, blocks, Some(blocks + NUDGE)).await
    }

    async fn exchange(
        &mut self,
        commands: &[Cmd],
        blocks: Duration,
        nudge: Option<Duration>,
    ) -> Result<Vec<Answer>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let limit = self.deadline + blocks;
        // Taken out for the call and put back only after all answers: if it ends in doubt, or our caller drops us half
        // way, the connection goes too, and no late answer is taken for the next one's.
        let held = self.connection.take();
        let (connection, answers) = timeout(limit, self.attempt(held, commands, nudge))
            .await
            .unwrap_or_else(|_| {
                let why = format!("no answer within {} ms{IS_IT_THERE}", limit.as_millis());
                Err(unreachable(&self.endpoint.address, why))
            })?;
        self.connection = Some(connection);
        Ok(answers)
    }

    async fn attempt(
        &self,
        held: Option<MultiplexedConnection>,
        commands: &[Cmd],
        nudge: Option<Duration>,
    ) -> Result<(MultiplexedConnection, Vec<Answer>), Error> {
        let mut connection = match held {
            Some(connection) => connection,
            None => self.open().await?,
        };
        let mut values = match nudge {
            Some(at) => self.send_and_nudge(&mut connection, commands, at).await?,
            None => self.send(&mut connection, commands).await?,
        };
        // A script the server has forgotten was not run, and every call may be repeated: its number protects it.
        let forgotten: Vec<usize> = (0..values.len())
            .filter(|&i| is_noscript(&values[i]))
            .collect();
        if !forgotten.is_empty() {
            let loads: Vec<Cmd> = scripts::ALL.iter().map(|lua| lua.load()).collect();
            self.send(&mut connection, &loads).await?;
            let again: Vec<Cmd> = forgotten.iter().map(|&i| commands[i].clone()).collect();
            for (i, value) in forgotten
                .into_iter()
                .zip(self.send(&mut connection, &again).await?)
            {
                values[i] = value;
            }
        }
        let mut answers = Vec::with_capacity(values.len());
        for (value, command) in values.into_iter().zip(commands) {
            answers.push(match value {
                Value::ServerError(error) => {
                    Err(self.refused(&mut connection, &error, command).await)
                }
                value => Ok(value),
            });
        }
        Ok((connection, answers))
    }

    async fn send_and_nudge(
        &self,
        connection: &mut MultiplexedConnection,
        commands: &[Cmd],
        at: Duration,
    ) -> Result<Vec<Value>, Error> {
        let mut beside = connection.clone();
        let answers = self.send(connection, commands);
        tokio::pin!(answers);
        tokio::select! {
            biased;
            values = &mut answers => return values,
            () = tokio::time::sleep(at) => {}
        }
        // A blocked client is not served, but that it sends something wakes the server.
        let nudges = [redis::cmd("PING")];
        let (values, nudged) = tokio::join!(answers, self.send(&mut beside, &nudges));
        nudged.and(values)
    }

    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        commands: &[Cmd],
    ) -> Result<Vec<Value>, Error> {
        let values = match commands {
            // Mostly it is one: packed as it is, without a copy.
            [one] => connection
                .send_packed_command(one)
                .await
                .map(|value| vec![value]),
            _ => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command.clone());
                }
                connection
                    .send_packed_commands(&pipeline, 0, commands.len())
                    .await
            }
        };
        values.map_err(|e| unreachable(&self.endpoint.address, "the connection broke").because(e))
    }

    async fn open(&self) -> Result<MultiplexedConnection, Error> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(Some(self.deadline.min(CONNECT)));
        let client = &self.endpoint.client;
        let opened = client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        let mut connection = opened.map_err(|e| connect_error(&self.endpoint.address, e))?;
        let mut loads = Pipeline::new();
        for lua in scripts::ALL {
            loads.add_command(lua.load());
        }
        let loaded = connection
            .send_packed_commands(&loads, 0, scripts::ALL.len())
            .await;
        loaded.map_err(|e| connect_error(&self.endpoint.address, e))?;
        Ok(connection)
    }

    /// An answer that a script of ours never gives.
    pub(super) fn odd(&self, what: impl std::fmt::Debug) -> Error {
        Error::new(
            ErrorKind::Protocol,
            format!(
                "the broker at {} answered {what:?}, which is not understood",
                self.endpoint.address
            ),
        )
    }

    /// The server's error in our words; a key of the wrong type is looked for and named.
    async fn refused(
        &self,
        connection: &mut MultiplexedConnection,
        error: &ServerError,
        command: &Cmd,
    ) -> Error {
        let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
        if let Some(at) = text.find("MISTYPED ") {
            let what = &text[at + "MISTYPED ".len()..];
            return Error::new(
                ErrorKind::WrongType,
                format!(
                    "at {}: the key {what}; move it away or choose another namespace",
                    self.endpoint.address
                ),
            );
        }
        if text.contains("WRONGTYPE") {
            return match self.find_mistyped(connection, command).await {
                Some((key, is)) => Error::new(
                    ErrorKind::WrongType,
                    format!(
                        "at {}: the key {key} is a {is}, not a {}; move it away or choose another namespace",
                        self.endpoint.address,
                        expected_type(&key)
                    ),
                ),
                None => Error::new(
                    ErrorKind::WrongType,
                    format!("at {}: {text}", self.endpoint.address),
                ),
            };
        }
        server_error(&self.endpoint.address, error)
    }

    async fn find_mistyped(
        &self,
        connection: &mut MultiplexedConnection,
        command: &Cmd,
    ) -> Option<(String, String)> {
        let words: Vec<String> = command.args_iter().map(words).collect();
        let keys = match words.first().map(String::as_str) {
            Some("EVALSHA") => words
                .get(3..3 + words.get(2)?.parse::<usize>().ok()?)?
                .to_vec(),
            _ => words.get(1..)?.to_vec(),
        };
        let types: Vec<Cmd> = keys
            .iter()
            .map(|key| {
                let mut ask = redis::cmd("TYPE");
                ask.arg(key);
                ask
            })
            .collect();
        let answers = self.send(connection, &types).await.ok()?;
        keys.into_iter()
            .zip(answers)
            .find_map(|(key, value)| match value {
                Value::SimpleString(is) if is != "none" && is != expected_type(&key) => {
                    Some((key, is))
                }
                _ => None,
            })
    }
}

fn words(arg: redis::Arg<&[u8]>) -> String {
    match arg {
        redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

fn is_noscript(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// Where nobody answers.
pub(super) const IS_IT_THERE: &str = "; is Redis running there?";

fn unreachable(address: &str, why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Unreachable,
        format!("the broker at {address} can not be reached: {why}"),
    )
}

pub(super) fn connect_error(address: &str, error: redis::RedisError) -> Error {
    use redis::{ErrorKind as Kind, ServerErrorKind};
    let kind = error.kind();
    if kind == Kind::AuthenticationFailed
        || matches!(kind, Kind::Server(k) if k != ServerErrorKind::BusyLoading)
    {
        return Error::new(
            ErrorKind::Refused,
            format!("the broker at {address} refuses the connection: {error}; check user, password and database of its URL"),
        )
        .because(error);
    }
    if kind == Kind::Parse {
        return Error::new(
            ErrorKind::Unreachable,
            format!("what answers at {address} is no Redis: check host and port of the broker URL"),
        )
        .because(error);
    }
    let hint = if error.is_connection_refusal() || error.is_timeout() {
        IS_IT_THERE
    } else {
        ""
    };
    unreachable(address, format!("{error}{hint}")).because(error)
}

/// Trouble of the server's own that passes by itself, as an outage does: the same call is repeated unchanged.
const PASSING: [&str; 5] = ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"];

/// Trouble that someone must mend: the same call may be repeated, a sender is told at once.
const STANDING: [&str; 7] = [
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "NOAUTH",
    "NOPERM",
    "MOVED",
];

pub(super) fn server_error(address: &str, error: &ServerError) -> Error {
    let details = error.details().unwrap_or_default();
    // Inside a script the code of the command that failed stands in the text.
    let named = |t: &&str| error.code() == *t || details.contains(&format!("{t} "));
    let trouble = PASSING.into_iter().chain(STANDING).find(|t| named(t));
    let kind = match trouble {
        Some(t) if PASSING.contains(&t) => ErrorKind::Unreachable,
        Some(_) => ErrorKind::Refused,
        None => ErrorKind::Protocol,
    };
    let remedy = match trouble {
        Some("OOM") => {
            "; it is out of memory: drain queues, keep fewer results (ignore_result) or raise maxmemory"
        }
        Some("READONLY") => "; it is a replica: point the URL at the primary",
        Some("NOAUTH" | "NOPERM") => "; check the user and password of the broker URL",
        _ => "",
    };
    Error::new(
        kind,
        format!(
            "the broker at {address} refuses: {} {details}{remedy}",
            error.code()
        ),
    )
}
