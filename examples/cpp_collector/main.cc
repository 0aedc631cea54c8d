// Records three sensors of a robot, each on its own thread, into one store:
//
//   imu     1 kHz   acceleration and rate, float32[6]
//   joints  200 Hz  position and velocity, float64[7] each
//   camera  30 Hz   a packed uint8 frame [48, 64, 3]
//
//   cpp_collector <store> [seconds]
//
// A row is one sample of one sensor, in the order of arrival. The fields of the other sensors are
// missing from it. `stamp` is the clock of the sensor. The readings are simulated: each is a
// function of the number of its sample, so a reader of the store can check every value.
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "stream_store/store.h"

namespace {

using namespace stream_store;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

const std::vector<Field> kFields = {
    {.name = "stamp", .dtype = DType::kInt64},   // nanoseconds since the start, the sensor's clock
    {.name = "sample", .dtype = DType::kInt64},  // the number of the sample, per sensor
    {.name = "imu", .dtype = DType::kFloat32, .shape = {6}},
    {.name = "position", .dtype = DType::kFloat64, .shape = {7}},
    {.name = "velocity", .dtype = DType::kFloat64, .shape = {7}},
    {.name = "image", .dtype = DType::kUInt8, .shape = {48, 64, 3}, .packed = true},
};

// A histogram of append times. Bucket b counts times in [2^(b-1), 2^b) nanoseconds.
class Latencies {
 public:
  void Add(nanoseconds took) {
    const auto count = static_cast<std::uint64_t>(took.count());
    ++buckets_[static_cast<std::size_t>(std::bit_width(count))];
    longest_ = std::max(longest_, took);
  }

  void Print(const char* sensor) const {
    std::uint64_t total = 0;
    for (const std::uint64_t bucket : buckets_) total += bucket;
    std::cout << sensor << ": " << total << " appends, the longest " << longest_.count() / 1e3
              << " µs\n";
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      if (buckets_[b] == 0) continue;
      const std::string bar(std::max<std::size_t>(buckets_[b] * 50 / total, 1), '#');
      std::cout << "  < " << std::setw(9) << static_cast<double>(std::uint64_t{1} << b) / 1e3
                << " µs " << std::setw(8) << buckets_[b] << ' ' << bar << '\n';
    }
  }

 private:
  std::array<std::uint64_t, 64> buckets_{};
  nanoseconds longest_{0};
};

// The sensors. Each Run…() is called on its own thread.
class Robot {
 public:
  Robot(StreamStore& store, double seconds)
      : store_(store),
        stamp_(store.type_id("stamp")),
        sample_(store.type_id("sample")),
        imu_(store.type_id("imu")),
        position_(store.type_id("position")),
        velocity_(store.type_id("velocity")),
        image_(store.type_id("image")),
        begin_(Clock::now()),
        end_(begin_ +
             std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(seconds))) {}

  Latencies RunImu() {
    return Run(nanoseconds(1'000'000), [this](std::int64_t i, std::int64_t at) {
      std::array<float, 6> reading;
      for (std::size_t k = 0; k < 6; ++k) {
        reading[k] = static_cast<float>(i % 1000) * 0.25F + static_cast<float>(k);
      }
      return store_.TryAppendStep({{stamp_, at}, {sample_, i}, {imu_, reading}});
    });
  }

  Latencies RunJoints() {
    return Run(nanoseconds(5'000'000), [this](std::int64_t i, std::int64_t at) {
      std::array<double, 7> angle, speed;
      for (std::size_t k = 0; k < 7; ++k) {
        angle[k] = static_cast<double>(i) / 128 + static_cast<double>(k);
        speed[k] = -angle[k];
      }
      if (i == 0) {  // the speed is unknown in the first sample, so its field is left out
        return store_.TryAppendStep({{stamp_, at}, {sample_, i}, {position_, angle}});
      }
      return store_.TryAppendStep(
          {{stamp_, at}, {sample_, i}, {position_, angle}, {velocity_, speed}});
    });
  }

  Latencies RunCamera() {
    std::vector<std::uint8_t> frame(48 * 64 * 3);
    return Run(nanoseconds(33'333'333), [this, &frame](std::int64_t i, std::int64_t at) {
      for (std::size_t k = 0; k < frame.size(); ++k) {
        frame[k] = static_cast<std::uint8_t>(k + static_cast<std::size_t>(i));
      }
      return store_.TryAppendStep({{stamp_, at}, {sample_, i}, {image_, frame}});
    });
  }

 private:
  // Calls `record(sample, stamp)` at a steady rate and records the time of each call.
  template <class Record>
  Latencies Run(nanoseconds period, const Record& record) const {
    Latencies latencies;
    std::int64_t sample = 0;
    for (Clock::time_point due = begin_; due < end_; due += period, ++sample) {
      std::this_thread::sleep_until(due);
      const Clock::time_point before = Clock::now();
      const AppendResult result = record(sample, (due - begin_) / nanoseconds(1));
      latencies.Add(Clock::now() - before);
      if (!result) {
        std::array<char, 160> text;
        std::cerr << "sample " << sample << ": " << result.Message(text, store_.schema()) << '\n';
        std::exit(1);
      }
    }
    return latencies;
  }

  StreamStore& store_;
  TypeId stamp_, sample_, imu_, position_, velocity_, image_;
  Clock::time_point begin_, end_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: cpp_collector <store> [seconds]\n";
    return 2;
  }
  try {
    const double seconds = argc > 2 ? std::stod(argv[2]) : 10;
    StreamStore store = StreamStore::Open(argv[1], {.mode = Mode::kCreate, .fields = kFields});
    store.Reserve(1'000'000, 10'000);  // allocates space, so that no append has to
    Robot robot(store, seconds);
    Latencies imu, joints, camera;
    std::thread imu_thread([&] { imu = robot.RunImu(); });
    std::thread joints_thread([&] { joints = robot.RunJoints(); });
    std::thread camera_thread([&] { camera = robot.RunCamera(); });
    imu_thread.join();
    joints_thread.join();
    camera_thread.join();
    const std::uint64_t rows = store.reader().num_rows();
    store.Close();
    imu.Print("imu");
    joints.Print("joints");
    camera.Print("camera");
    std::cout << rows << " rows in " << argv[1] << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
