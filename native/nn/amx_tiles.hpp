// The tile registers of AMX. Included by source files whose functions may use them, inside their namespace.

struct alignas(64) Palette {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// The tile registers, all of full size, while it lives.
class Tiles {
 public:
  Tiles() {
    static constexpr Palette kFull;  // in memory for good: compilers know only of the first bytes that are read here
    _tile_loadconfig(&kFull);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};
