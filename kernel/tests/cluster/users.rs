//! Users and databases that are changed and used through several Cores.

/// What leaves the Core of the client is the hash of a password, never the password.
#[test]
fn a_user_is_made_through_a_standby() {
    script!(
        r#"
    > a@2: USER CREATE bob PASSWORD p DATABASES 0 1 ROLE readwrite
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > bob@2: AUTH bob p | SELECT 3 | SET k v
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > bob@1: AUTH bob p | GET k
    "#
    );
}

/// The standby may not know of it yet: the primary does.
#[test]
fn the_primary_looks_at_the_rights_of_this_moment() {
    script!(
        r#"
    > a@1: USER CREATE bob PASSWORD p ROLE readwrite
    > 1 closes
    > commit
    > bob@2: AUTH bob p | SET k v
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > 2 hears nothing
    > a@1: USER SET bob ROLE readonly
    > bob@2: SET k w | GET k
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > 2 hears all
    > bob@2: SET k w
    "#
    );
}

#[test]
fn a_user_who_was_dropped_and_made_anew_is_not_the_one_who_is_connected_elsewhere() {
    script!(
        r#"
    > a@1: USER CREATE bob PASSWORD p ROLE readwrite
    > 1 closes
    > commit
    > bob@2: AUTH bob p
    > 2 hears nothing
    > a@1: USER DROP bob | USER CREATE bob PASSWORD q ROLE admin
    > 1 closes
    > commit
    > bob@2: SET k v | USER LIST
    > 2 forwards
    > 2 hears all
    > bob@2: GET k
    > bob@2: AUTH bob q | SET k v
    > 2 forwards
    "#
    );
}

#[test]
fn a_database_is_made_and_dropped_through_a_standby() {
    script!(
        r#"
    > a@2: DATABASE CREATE shop
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > a@2: SELECT shop | SET k v
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > a@1: DATABASE DROP shop
    > 1 closes
    > commit
    > a@2: GET k | CONSISTENCY EVENTUAL GET k | SELECT shop
    "#
    );
}

/// Nobody is told of a user who may still be forgotten.
#[test]
fn a_change_that_was_not_accepted_is_void() {
    script!(
        r#"
    > a@1: USER CREATE bob PASSWORD p ROLE admin
    > bob@1: AUTH bob p
    > 1 closes
    > 1 hears nothing
    > lose
    > after 400 ms
    > 2 ticks
    > commit
    > 1 hears all
    > bob@1: GET k | USER WHOAMI
    > a@1: USER LIST
    > 1 forwards
    "#
    );
}
