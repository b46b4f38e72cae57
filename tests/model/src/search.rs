//! Searches a model completely, or until the checker finds what it is asked for, and prints how large the search was.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path, Property};

/// What can be searched: a model whose properties are its promises.
pub trait Searchable:
    Model<State: Item + Hash, Action: Item> + Clone + Send + Sync + 'static
{
}
impl<M: Model<State: Item + Hash, Action: Item> + Clone + Send + Sync + 'static> Searchable for M {}

/// What states and actions are.
pub trait Item: Clone + PartialEq + Debug + Send + Sync + 'static {}
impl<T: Clone + PartialEq + Debug + Send + Sync + 'static> Item for T {}

/// Panics unless the promises hold in every state that the model can reach.
pub fn assert_holds<M: Searchable>(name: &str, model: M) {
    let found = search(name, model);
    assert!(found.is_none(), "{name}: broken, as printed above");
}

/// Panics unless the checker finds how a promise is broken, by a shortest way; returns its number of steps.
pub fn assert_broken<M: Searchable>(name: &str, model: M) -> usize {
    let found = search(name, model);
    found
        .unwrap_or_else(|| panic!("{name}: no counter-example was found"))
        .into_actions()
        .len()
}

/// Panics unless the model can reach such a state: a model that does nothing keeps every promise.
pub fn assert_possible<M: Searchable>(name: &str, model: M, condition: fn(&M, &M::State) -> bool) {
    let found = search(name, Example { model, condition });
    assert!(found.is_some(), "{name}: not possible in this model");
}

/// Breadth first by one thread, which finds the shortest way to a state that breaks a promise or is an example.
fn search<M: Searchable>(name: &str, model: M) -> Option<Path<M::State, M::Action>> {
    let began = Instant::now();
    let checker = model
        .checker()
        .finish_when(HasDiscoveries::Any)
        .spawn_bfs()
        .join();
    let (found, states, depth) = (
        checker.discoveries(),
        checker.unique_state_count(),
        checker.max_depth(),
    );
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {states} states, depth {depth}, {seconds:.1} s");
    let path = found.into_values().next();
    if let Some(path) = &path {
        print_path(path.clone());
    }
    path
}

fn print_path<State: Item, Action: Item>(path: Path<State, Action>) {
    for (state, action) in path.into_vec() {
        println!("    {state:?}");
        if let Some(action) = action {
            println!("  {action:?}");
        }
    }
}

/// A model together with what is looked for in it.
#[derive(Clone)]
struct Example<M: Model> {
    model: M,
    condition: fn(&M, &M::State) -> bool,
}

impl<M: Model> Model for Example<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        self.model.init_states()
    }

    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        self.model.actions(state, actions);
    }

    fn next_state(&self, state: &M::State, action: M::Action) -> Option<M::State> {
        self.model.next_state(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::sometimes("found", |example, state| {
            (example.condition)(&example.model, state)
        })]
    }
}
