//! What INFO tells, as far as the library looks at it.

use super::state::State;

/// The text of INFO.
pub(super) fn text(state: &State) -> String {
    let settings = &state.settings;
    let version = settings.version.number();
    let role = if settings.replica { "slave" } else { "master" };
    let (now, start) = (state.now_us / 1_000_000, state.started_us / 1_000_000);
    let uptime = now as i64 - start as i64;
    let lines = [
        "# Server".to_owned(),
        format!("redis_version:{version}"),
        "redis_mode:standalone".to_owned(),
        format!("run_id:{}", state.run_id),
        "tcp_port:6379".to_owned(),
        format!("uptime_in_seconds:{uptime}"),
        String::new(),
        "# Memory".to_owned(),
        format!("maxmemory_policy:{}", settings.maxmemory_policy),
        String::new(),
        "# Persistence".to_owned(),
        format!("loading:{}", u8::from(settings.loading)),
        format!("aof_enabled:{}", u8::from(settings.aof)),
        String::new(),
        "# Replication".to_owned(),
        format!("role:{role}"),
        String::new(),
    ];
    lines.join("\r\n")
}
