//! Whether Redis is fit to carry sessions and the revocation channel: its version, that it evicts nothing, and that this
//! account may do what the programs do.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, aio::MultiplexedConnection};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::{Finding, chain};
use crate::{config::Redis, id::ReplicaId};

/// How long connecting, and each command, may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// The oldest Redis that is served: PEXPIREAT with GT and NX came with it.
const OLDEST: (u32, u32) = (7, 0);
/// How long a key of the check lives if it is not deleted.
const KEY_LIFETIME_MS: u64 = 10_000;
/// A moment that lies ahead, whatever Redis takes the time to be: in the year 2261.
const FAR_AWAY_MS: u64 = 9_200_000_000_000;

/// What did not work.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no answer within {} s", ANSWER_WITHIN.as_secs())]
    Silence,
    #[error(transparent)]
    Refused(#[from] RedisError),
    #[error("the message did not come back")]
    Lost,
}

pub(super) async fn check(redis: &Redis) -> Vec<Finding> {
    let (client, mut connection) = match connect(redis).await {
        Ok(connected) => connected,
        Err(error) => {
            let fix = "see that Redis runs and that [redis] url has its address, account and password";
            return vec![Finding::problem("redis", format!("Redis cannot be reached: {}", chain(&error)), fix)];
        }
    };
    let mut findings = match info(&mut connection).await {
        Ok(info) => vec![judge_version(&info), judge_eviction(&info)],
        Err(error) => vec![Finding::problem("redis", chain(&error), "permit INFO to the account")],
    };
    findings.push(match keys(&mut connection, &redis.prefix).await {
        Ok(()) => Finding::passed("redis keys", format!("{}:* can be written, read and deleted", redis.prefix)),
        Err(error) => Finding::problem(
            "redis keys",
            format!("keys under {}: cannot be used: {}", redis.prefix, chain(&error)),
            format!(
                "permit the account GET, SET, DEL, PEXPIREAT, ZADD, ZRANGE, ZREM and ZREMRANGEBYSCORE on ~{}:*",
                redis.prefix
            ),
        ),
    });
    findings.push(match channel(&client, &mut connection, &redis.prefix).await {
        Ok(()) => Finding::passed("redis channels", format!("{}:* can be published and heard", redis.prefix)),
        Err(error) => Finding::problem(
            "redis channels",
            format!("the revocation channel does not work: {}", chain(&error)),
            format!("permit the account PUBLISH and SUBSCRIBE on &{}:*", redis.prefix),
        ),
    });
    findings
}

async fn connect(redis: &Redis) -> Result<(Client, MultiplexedConnection), Trouble> {
    let client = Client::open(redis.url.expose_secret())?;
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER_WITHIN)).set_response_timeout(Some(ANSWER_WITHIN));
    let connection = within(client.get_multiplexed_async_connection_with_config(&config)).await?;
    Ok((client, connection))
}

async fn within<T>(answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, Trouble> {
    match timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Trouble::Silence),
    }
}

async fn info(connection: &mut MultiplexedConnection) -> Result<String, Trouble> {
    let mut info = Cmd::new();
    info.arg("INFO");
    within(info.query_async(connection)).await
}

/// The value of a line `name:value`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn judge_version(info: &str) -> Finding {
    let version = field(info, "redis_version").unwrap_or("of an unknown version");
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        return Finding::problem("redis", format!("Redis {version} is too old"), "use Redis 7.0 or later");
    }
    match field(info, "role") {
        Some("slave") => Finding::problem("redis", format!("Redis {version} is a replica"), "name the primary in [redis] url"),
        Some(_) | None => Finding::passed("redis", format!("Redis {version}")),
    }
}

fn judge_eviction(info: &str) -> Finding {
    match field(info, "maxmemory_policy") {
        Some("noeviction") => Finding::passed("redis memory", "noeviction"),
        Some(policy) => Finding::problem(
            "redis memory",
            format!("maxmemory-policy is {policy}: under pressure Redis drops sessions, which signs people out"),
            "set maxmemory-policy noeviction",
        ),
        None => Finding::warning("redis memory", "Redis does not say its maxmemory-policy", "see that it is noeviction"),
    }
}

async fn keys(connection: &mut MultiplexedConnection, prefix: &str) -> Result<(), Trouble> {
    let (key, set_key) = (format!("{prefix}:check:{}", ReplicaId::new()), format!("{prefix}:check-set:{}", ReplicaId::new()));
    // One by one, so that the first refusal is the one that is told.
    for command in [
        Cmd::new().arg("SET").arg(&key).arg(1).arg("NX").arg("PX").arg(KEY_LIFETIME_MS),
        Cmd::new().arg("GET").arg(&key),
        Cmd::new().arg("ZADD").arg(&set_key).arg(1).arg("member"),
        Cmd::new().arg("PEXPIREAT").arg(&set_key).arg(FAR_AWAY_MS).arg("NX"),
        Cmd::new().arg("ZREMRANGEBYSCORE").arg(&set_key).arg("-inf").arg(0),
        Cmd::new().arg("ZRANGE").arg(&set_key).arg(0).arg(-1),
        Cmd::new().arg("ZREM").arg(&set_key).arg("member"),
        Cmd::new().arg("DEL").arg(&key),
    ] {
        within(command.query_async::<()>(connection)).await?;
    }
    Ok(())
}

/// Subscribes to the channels of the programs, and hears its own voice on one of its own.
async fn channel(client: &Client, connection: &mut MultiplexedConnection, prefix: &str) -> Result<(), Trouble> {
    let own = format!("{prefix}:probe:{}", ReplicaId::new());
    let mut subscription = within(client.get_async_pubsub()).await?;
    for channel in [&format!("{prefix}:revocations"), &format!("{prefix}:acks"), &own] {
        within(subscription.subscribe(channel)).await?;
    }
    let mut publish = Cmd::new();
    publish.arg("PUBLISH").arg(&own).arg("check");
    within(publish.query_async::<i64>(connection)).await?;
    let mut messages = subscription.into_on_message();
    let heard = async {
        while let Some(message) = messages.next().await {
            if message.get_channel_name() == own {
                return Ok(());
            }
        }
        Err(Trouble::Lost)
    };
    timeout(ANSWER_WITHIN, heard).await.unwrap_or(Err(Trouble::Lost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn a_redis_that_is_old_or_a_replica_is_a_problem() {
        for (info, verdict) in [
            ("redis_version:7.0.15\r\nrole:master\r\n", Verdict::Passed),
            ("redis_version:8.2.1\r\nrole:master\r\n", Verdict::Passed),
            ("redis_version:6.2.14\r\nrole:master\r\n", Verdict::Problem),
            ("redis_version:7.2.4\r\nrole:slave\r\n", Verdict::Problem),
            ("", Verdict::Problem),
        ] {
            assert_eq!(judge_version(info).verdict, verdict, "{info}");
        }
    }

    #[test]
    fn only_noeviction_keeps_every_session() {
        assert_eq!(judge_eviction("maxmemory_policy:noeviction\r\n").verdict, Verdict::Passed);
        assert_eq!(judge_eviction("maxmemory_policy:allkeys-lru\r\n").verdict, Verdict::Problem);
        assert_eq!(judge_eviction("used_memory:1\r\n").verdict, Verdict::Warning);
    }
}
