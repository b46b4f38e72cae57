//! Tests of what a defect of this library does: here the handling of one server's bytes panics.

use std::time::Duration;

use testkit::{Cluster, Server};

use crate::strikes::{self, Place};
use crate::{Error, Factory, Options, Status, Wait};

fn port_of(server: &Server) -> u16 {
    let address: std::net::SocketAddr = server.address().parse().unwrap();
    address.port()
}

fn begin_striking(place: Place, server: &Server) {
    strikes::begin(place, port_of(server));
}

/// Gives how often it was struck.
fn stop_striking(place: Place, server: &Server) -> usize {
    strikes::stop(place, port_of(server))
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
