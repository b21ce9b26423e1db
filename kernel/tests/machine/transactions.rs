//! What WATCH makes of SWAPDB: a key is watched under the number of the database that was selected.

#[test]
fn a_write_to_a_watched_key_that_was_absent_when_databases_were_swapped_is_a_change() {
    script!(
        r#"
    > a: WATCH k
      a gets +OK
    > b: SWAPDB 0 1
      b waits for batch 1
    > b: SET k v
    > a: MULTI
      a gets +OK
    > a: SET k w
      a gets +QUEUED
    > a: EXEC
      a waits for batch 1
    > close
      propose batch 1: swap 0 1, put k "v"
    > commit
      accepted 1
      a gets $-1
      b gets +OK
      b gets +OK
    "#
    );
}

#[test]
fn a_write_where_the_watched_number_pointed_before_the_swap_is_none() {
    script!(
        r#"
    > a: WATCH k
      a gets +OK
    > b: SWAPDB 0 1
      b waits for batch 1
    > b: SELECT 1
    > b: SET k v
    > a: MULTI
      a gets +OK
    > a: SET k w
      a gets +QUEUED
    > a: EXEC
      a waits for batch 1
    > close
      propose batch 1: swap 0 1, put k "v", put k "w"
    > commit
      accepted 1
      a gets Array([Simple("OK")])
      b gets +OK
      b gets +OK
      b gets +OK
    "#
    );
}

#[test]
fn a_swap_that_brings_a_key_or_takes_it_away_is_a_change() {
    script!(
        r#"
    > b: SET k v
      b waits for batch 1
    > close
      propose batch 1: put k "v"
    > commit
      accepted 1
      b gets +OK
    > a: WATCH k
      a gets +OK
    > c: SELECT 1
      c gets +OK
    > c: WATCH k
      c gets +OK
    > b: SWAPDB 0 1
      b waits for batch 2
    > a: MULTI
      a gets +OK
    > c: MULTI
      c gets +OK
    > a: EXEC
      a waits for batch 2
    > c: EXEC
      c waits for batch 2
    > close
      propose batch 2: swap 0 1
    > commit
      accepted 2
      a gets $-1
      b gets +OK
      c gets $-1
    "#
    );
}
