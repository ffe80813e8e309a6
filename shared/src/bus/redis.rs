//! The bus over Redis. The subscription has a connection and a supervisor of its own: the client swallows a refused
//! resubscription and never replaces an idle or black-holed connection, so the supervisor sends itself a probe through the
//! server twice a second, and two seconds without one mean a new connection, a new subscription, and a gap for every listener.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use redis::{Cmd, Msg};
use tokio::{
    sync::broadcast,
    time::{Instant, interval, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Ack, Bus, BusError, Listener, RedisLink, Signal,
    message::{Message, decode, encode},
};
use crate::{id::ReplicaId, model::revocation::Revocation, secret::MacKey};

/// How often the probe is sent.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// How long the subscription may be silent.
const SILENCE: Duration = Duration::from_secs(2);
/// How long connecting and subscribing may take.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(2);
/// How long to rest between attempts.
const REST: Duration = Duration::from_millis(200);
/// Messages kept for a listener that is behind.
const CAPACITY: usize = 4_096;

/// The bus over Redis.
#[derive(Debug)]
pub struct RedisBus {
    link: RedisLink,
    key: MacKey,
    channels: Channels,
    records: broadcast::Sender<Signal<Revocation>>,
    acks: broadcast::Sender<Signal<Ack>>,
}

#[derive(Debug, Clone)]
struct Channels {
    records: String,
    acks: String,
    probe: String,
}

impl RedisBus {
    /// A bus on the channels that begin with `prefix`; its supervisor runs on `tasks` until `stop`.
    #[must_use]
    pub fn start(link: RedisLink, prefix: &str, key: MacKey, tasks: &TaskTracker, stop: CancellationToken) -> Arc<Self> {
        let bus = Arc::new(Self {
            link,
            key,
            channels: Channels {
                records: format!("{prefix}:revocations"),
                acks: format!("{prefix}:acks"),
                probe: format!("{prefix}:probe:{}", ReplicaId::new()),
            },
            records: broadcast::Sender::new(CAPACITY),
            acks: broadcast::Sender::new(CAPACITY),
        });
        let supervised = bus.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = supervised.supervise() => {}
                () = stop.cancelled() => {}
            }
        });
        bus
    }

    async fn supervise(&self) {
        let mut complained = false;
        loop {
            let ended = self.listen(&mut complained).await;
            if !complained {
                complained = true;
                tracing::warn!(reason = %ended, "the Redis subscription is down; revocations go by the database until it is back");
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Subscribes and passes messages on until something is wrong; answers with what it was.
    async fn listen(&self, complained: &mut bool) -> String {
        let subscribed = timeout(SUBSCRIBE_WITHIN, async {
            let mut subscription = self.link.client().get_async_pubsub().await?;
            subscription.subscribe(&[&self.channels.records, &self.channels.acks, &self.channels.probe]).await?;
            Ok::<_, redis::RedisError>(subscription)
        });
        let mut subscription = match subscribed.await {
            Ok(Ok(subscription)) => subscription,
            Ok(Err(error)) => return format!("cannot subscribe: {}", error.kind_text()),
            Err(_) => return "subscribing took too long".to_owned(),
        };
        let mut messages = subscription.on_message();
        let mut probes = interval(PROBE_EVERY);
        let mut deadline = Instant::now() + SILENCE;
        // What was published before this moment is in the log, what comes after is heard here.
        self.gap();
        loop {
            tokio::select! {
                heard = timeout_at(deadline, messages.next()) => match heard {
                    Ok(Some(message)) => {
                        deadline = Instant::now() + SILENCE;
                        if *complained {
                            *complained = false;
                            tracing::info!("the Redis subscription is up");
                        }
                        self.pass_on(&message);
                    }
                    Ok(None) => return "the connection was closed".to_owned(),
                    Err(_) => return "nothing was heard for 2 seconds".to_owned(),
                },
                _ = probes.tick() => {
                    let (link, channel) = (self.link.clone(), self.channels.probe.clone());
                    // Beside the listening, which it must not hold up.
                    tokio::spawn(async move {
                        let mut probe = Cmd::new();
                        probe.arg("PUBLISH").arg(channel).arg("probe");
                        let _ = link.command::<i64>(&probe).await;
                    });
                }
            }
        }
    }

    fn gap(&self) {
        let _ = self.records.send(Signal::Gap);
        let _ = self.acks.send(Signal::Gap);
    }

    fn pass_on(&self, message: &Msg) {
        let channel = message.get_channel_name();
        if channel == self.channels.records {
            self.pass_to(&self.records, message.get_payload_bytes());
        } else if channel == self.channels.acks {
            self.pass_to(&self.acks, message.get_payload_bytes());
        }
    }

    fn pass_to<T: Message>(&self, listeners: &broadcast::Sender<Signal<T>>, payload: &[u8]) {
        match decode::<T>(&self.key, payload) {
            Some(message) => {
                let _ = listeners.send(Signal::Message(Arc::new(message)));
            }
            None => {
                tracing::warn!("a bus message without our MAC was ignored: another environment may share the server and prefix");
            }
        }
    }

    async fn say(&self, channel: &str, text: String) -> Result<(), BusError> {
        let mut publish = Cmd::new();
        publish.arg("PUBLISH").arg(channel).arg(text);
        self.link.command::<i64>(&publish).await.map(drop)
    }
}

/// An error's kind alone: its text may hold parts of a URL.
trait KindText {
    fn kind_text(&self) -> String;
}

impl KindText for redis::RedisError {
    fn kind_text(&self) -> String {
        format!("{:?}", self.kind())
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, record: &Revocation) -> Result<(), BusError> {
        self.say(&self.channels.records, encode(&self.key, record)?).await
    }

    async fn acknowledge(&self, ack: &Ack) -> Result<(), BusError> {
        self.say(&self.channels.acks, encode(&self.key, ack)?).await
    }

    fn records(&self) -> Listener<Revocation> {
        Listener::new(self.records.subscribe())
    }

    fn acks(&self) -> Listener<Ack> {
        Listener::new(self.acks.subscribe())
    }
}
