//! A private Redis behind a wire that lies.

use private_redis::RedisServer;

use crate::faults::proxy::Proxy;
use crate::faults::world::LEASE;

/// Lists what no queue may hold at the end: orphans, and deliveries in sessions.
const HELD: &str = "local out = {} \
    for _, key in ipairs(redis.call('KEYS', 'taskq:{*}:orphan:*')) do out[#out + 1] = key end \
    for _, key in ipairs(redis.call('KEYS', 'taskq:{*}:session:*')) do \
        for _, field in ipairs(redis.call('HKEYS', key)) do \
            if tonumber(field) then out[#out + 1] = key .. '/' .. field end \
        end \
    end \
    return redis.status_reply(#out .. ' ' .. table.concat(out, ' ', 1, math.min(#out, 20)))";

pub(crate) struct Server {
    pub(super) redis: RedisServer,
    pub(super) proxy: Proxy,
}

impl Server {
    pub(super) async fn start(seed: u64) -> Self {
        let redis = RedisServer::start();
        let proxy = Proxy::start(redis.port(), seed, LEASE * 3 / 2).await;
        Self { redis, proxy }
    }

    pub(super) fn held(&self) -> Option<String> {
        let held = self.redis.command(&format!("EVAL \"{HELD}\" 0"));
        assert!(held.starts_with('+'), "{held}");
        (held != "+0").then_some(held)
    }
}
