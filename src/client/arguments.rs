//! What locks may be asked for: names and times to live.

use std::time::Duration;

use super::options::LONGEST_TTL_MS;
use crate::driver::open_set::OpenSet;
use crate::error::{Error, Result};
use crate::protocol::node::target;
use crate::protocol::rules::admission::RestartGuard;

/// The longest name of a resource, in bytes.
pub const MAX_RESOURCE_LENGTH: usize = 512;
/// The most resources that can be locked at once.
pub const MAX_RESOURCES: usize = 128;
pub(super) fn check_resources<S: AsRef<str>>(resources: &[S], prefix: &str) -> Result<()> {
    if !(1..=MAX_RESOURCES).contains(&resources.len()) {
        let count = resources.len();
        return Err(Error::invalid(format!(
            "{count} resources are given; 1 to {MAX_RESOURCES} can be locked at once"
        )));
    }
    for (index, resource) in resources.iter().enumerate() {
        let resource = resource.as_ref();
        check_resource(resource, prefix)?;
        if resources[..index].iter().any(|it| it.as_ref() == resource) {
            return Err(Error::invalid(format!(
                "the resource {resource:?} is given twice"
            )));
        }
    }
    Ok(())
}

pub(super) fn check_resource(resource: &str, prefix: &str) -> Result<()> {
    match resource.len() {
        0 => Err(Error::invalid(
            "the resource's name is empty; give it 1 to 512 bytes",
        )),
        1..=MAX_RESOURCE_LENGTH if target::is_reserved(prefix, resource) => {
            let (key, reserved) = ([prefix, resource].concat(), target::RESERVED);
            Err(Error::invalid(format!(
                "the resource {resource:?} has the key {key:?}; keys that contain {reserved:?} are the library's own, so use another name"
            )))
        }
        1..=MAX_RESOURCE_LENGTH => Ok(()),
        length => Err(Error::invalid(format!(
            "the resource's name has {length} bytes; at most {MAX_RESOURCE_LENGTH} are possible"
        ))),
    }
}

/// The TTL in ms, if it may be used.
pub(super) fn check_ttl(ttl: Duration, set: &OpenSet) -> Result<u64> {
    let max = set.settings().max_ttl_ms;
    let ms = match ttl.as_millis() {
        0 => return Err(Error::invalid("the TTL is 0; it must be at least 1 ms")),
        ms if ms > u128::from(LONGEST_TTL_MS) => {
            return Err(Error::invalid(format!(
                "the TTL of {ms} ms is too long; at most 30 days ({LONGEST_TTL_MS} ms) are possible"
            )));
        }
        ms => ms as u64,
    };
    match set.settings().restart_guard {
        RestartGuard::Strict if ms > max => Err(Error::invalid(format!(
            "the TTL of {ms} ms is longer than the option max_ttl_ms allows ({max} ms) with restart_guard=strict"
        ))),
        _ => {
            if ms > max {
                set.warn_of_ttl(ms);
            }
            Ok(ms)
        }
    }
}
