"""What all tests need of their surroundings."""

import os
import signal

# Some tests load ONNX Runtime before the package, which would then report to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# A shell starts background jobs with Ctrl-C ignored, and so is it in all that they start: tests of interrupts
# would wait for what never comes.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
