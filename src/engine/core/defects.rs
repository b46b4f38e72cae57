//! Tests of what a defect of this library does: here the handling of one server's bytes panics.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use testkit::{Cluster, Server};

use crate::engine::nodes::Node;
use crate::{Error, Factory, Options, Status, Wait};

/// Where a defect strikes: before a connection's bytes are read, or when one of its answers is to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Bytes,
    Answer,
}

/// The run ids of the servers whose bytes are not borne, where, and how often that was so.
static STRUCK: Mutex<BTreeMap<(Place, String), usize>> = Mutex::new(BTreeMap::new());

/// Called in these places.
pub(super) fn strike(place: Place, node: &mut Node) {
    let run_id = node.connection().and_then(|it| it.server.run_id.clone());
    let mut struck = STRUCK.lock().unwrap();
    let count = run_id.and_then(|run_id| struck.get_mut(&(place, run_id.to_string())));
    let is_struck = count.map(|count| *count += 1).is_some();
    drop(struck);
    if is_struck {
        panic!("a test's defect");
    }
}

fn begin_striking(place: Place, server: &Server) {
    let key = (place, server.info("run_id"));
    STRUCK.lock().unwrap().insert(key, 0);
}

/// Gives how often it was struck.
fn stop_striking(place: Place, server: &Server) -> usize {
    let key = (place, server.info("run_id"));
    let count = STRUCK.lock().unwrap().remove(&key);
    count.expect("it was begun")
}

fn patient() -> Options {
    let mut options = Options::new();
    options.set("node_timeout_ms", "10000").unwrap();
    options.set("restart_guard", "off").unwrap();
    options
}

fn eventually(what: &str, condition: impl FnMut() -> bool) {
    testkit::wait_until(Duration::from_secs(60), what, condition);
}

fn factory(cluster: &Cluster) -> Factory {
    let factory = Factory::with_options(&cluster.urls(), &patient()).unwrap();
    eventually("all to be connected", || nodes(&factory) == [Status::Ok; 3]);
    factory
}

fn nodes(factory: &Factory) -> Vec<Status> {
    let nodes = factory.check().unwrap();
    nodes.iter().map(|node| node.report.status).collect()
}

fn takes(factory: &Factory, resource: &str) -> Result<(), Error> {
    let wait = Wait::For(Duration::from_secs(30));
    factory
        .acquire(resource, Duration::from_secs(100), wait)?
        .release()
}

#[test]
fn a_defect_in_one_connection_ends_that_connection_and_nothing_else() {
    let (struck, spared) = (Cluster::start(3), Cluster::start(3));
    let (factory, other) = (factory(&struck), factory(&spared));
    let held = other
        .acquire("held", Duration::from_secs(100), Wait::No)
        .unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| other.acquire("held", Duration::from_secs(100), Wait::Forever));
        begin_striking(Place::Bytes, &struck[1]);
        // The other two are a quorum: no operation fails, in the very turn in which the third is lost neither.
        for round in 0..20 {
            takes(&factory, &format!("r{round}")).unwrap();
            takes(&other, "other").unwrap();
        }
        assert!(
            !waiter.is_finished(),
            "an operation of other nodes was ended"
        );
        assert!(
            stop_striking(Place::Bytes, &struck[1]) > 0,
            "it was not struck"
        );
        eventually("the node to be back", || nodes(&factory) == [Status::Ok; 3]);
        held.release().unwrap();
        waiter.join().unwrap().unwrap().release().unwrap();
    });
}

/// Calls that need the node fail, and say why; when the defect does not strike any more, all is well again.
#[test]
fn a_defect_that_stays_fails_the_calls_that_need_the_node() {
    let cluster = Cluster::start(1);
    let factory = Factory::with_options(&cluster.urls(), &patient()).unwrap();
    eventually("it to be connected", || nodes(&factory) == [Status::Ok]);
    begin_striking(Place::Bytes, &cluster[0]);
    let error = factory
        .acquire("r", Duration::from_secs(100), Wait::No)
        .unwrap_err();
    assert_eq!(error.status(), Status::NoQuorum, "{error:?}");
    let message = &error.nodes()[0].message;
    assert!(message.contains("a test's defect"), "{message}");
    assert!(stop_striking(Place::Bytes, &cluster[0]) > 0);
    eventually("it to be back", || takes(&factory, "r").is_ok());
}

/// What was answered, and not counted, holds the operation, and so the factory's connections, until the connection is ended.
#[test]
fn a_defect_in_counting_answers_leaves_no_operation_behind() {
    let cluster = Cluster::start(3);
    let factory = factory(&cluster);
    begin_striking(Place::Answer, &cluster[1]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let factory = &factory;
            scope.spawn(move || {
                for round in 0..20 {
                    takes(factory, &format!("r{thread}:{round}")).unwrap();
                }
            });
        }
    });
    assert!(
        stop_striking(Place::Answer, &cluster[1]) > 0,
        "it was not struck"
    );
    eventually("the node to be back", || nodes(&factory) == [Status::Ok; 3]);
    takes(&factory, "r").unwrap();
    drop(factory);
    for server in cluster.iter() {
        // The one that asks.
        eventually("its connections to be closed", || {
            server.info("connected_clients") == "1"
        });
    }
}
