//! Process 1 of the lab, and the agent it starts.

fn main() -> anyhow::Result<()> {
    ixion_tests::lab::inside::main()
}
