//! `make lab`: a shell in the lab that the end-to-end tests use.

fn main() -> anyhow::Result<()> {
    ixion_tests::lab::interactive()
}
