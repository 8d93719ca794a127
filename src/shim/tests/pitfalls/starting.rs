//! From the shim's start to the program's.

use crate::shim::{PLACES, Shim};

#[test]
fn a_program_runs_gets_its_stop_signal_and_its_exit_code_is_reported() {
    for place in PLACES {
        let shim =
            Shim::script(place, &[], "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.01; done");
        shim.says("up");
        shim.signal(15);
        let (code, output, error) = shim.finish();
        assert_eq!((code, output.as_str()), (3, "up\ntold\n"), "{place:?}: {error}");
        assert!(error.contains("fermata-shim: TERM: stopped in "), "{error}");
        assert!(error.trim_end().ends_with("app exited with 3; exit 3"), "{error}");
    }
}
