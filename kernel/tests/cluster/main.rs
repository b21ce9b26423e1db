//! Several Cores over one log. Scripts as in `tests/machine`: lines that begin with `>` are what happens, the others
//! are what becomes of it. To change one, change its `>` lines and take over what the test then shows.
//!
//! Node 1 is primary of epoch 5 at the beginning, node 2 stands by. `> a@2: SET k v` is a request of a client of node 2;
//! several with ` | ` between them arrive together. `> commit` lets the log take the oldest proposal, `> last first` lets
//! the newest overtake the others. `> 2 forwards` takes what node 2 has for the primary there, and the replies back; in
//! parts that is `> 2 sends`, `> 2 is served` and `> 2 receives`. `> 2 exchanges` does the same with what is published, in
//! parts `> 2 posts`, `> 2 is passed on` and `> 2 hears the others`. A client whose name begins with `read-` is at the read
//! port. `> 2 tells 1 where it is` is what its driver asks the other Cores for.

#[path = "../effects/keeper.rs"]
mod keeper;
mod script;
#[path = "../support/config.rs"]
mod support;
#[path = "../support/words.rs"]
mod words;
mod world;

macro_rules! script {
    ($script:literal) => {
        insta::assert_snapshot!(crate::script::play($script), @$script)
    };
}

mod blocking;
mod everywhere;
mod exactly_once;
mod facades;
mod forwarding;
mod leases;
mod plain;
mod property;
mod proxies;
mod pubsub;
mod tracking;
mod users;
