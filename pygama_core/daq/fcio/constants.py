"""Numbers of the FCIO format, and the columns of the arrays the compiled index pass works on."""

# Compiled into kernels: these words, "pygama_core.accelerate import", put this file into the digest of their cache.

MARKER = -1000000001
MARKER_BYTES = 68  # the marker word and the padded name of the protocol
PROTOCOL = b"FlashCamV1"

CONFIG, CALIB, EVENT, STATUS, REC_EVENT, SPARSE_EVENT, EVENT_HEADER = 1, 2, 3, 4, 5, 6, 7
FSP_CONFIG, FSP_EVENT, FSP_STATUS = 8, 9, 10
LAST_TAG = 10
GAP, SURPLUS, TAIL = 0, -1, -2  # entries of the index that are no records

MAX_TRACES = 2400
MAX_SAMPLES = 32768
MAX_CARDS = 256
MIN_CARD_BYTES = 36  # up to the counts of the arrays
MAX_CARD_BYTES = 65536
N_TIME_WORDS = 10

BAD, PAST = -1, -2  # no record here; record runs past the end of the bytes

# columns of an index row
TAG, START, STOP, FIRST_FRAME, N_FRAMES, RANGE = range(6)
# the cursor: where the pass is, and how much it may take
C_RANGE, C_POS, C_STOP, C_SCAN, C_RECORDS, C_FRAMES, C_TAKEN, C_MAX_BYTES, C_MAX_EVENTS = range(9)
