#pragma once

#include <string>
#include <vector>

#include "assertions/dataset/pair.h"
#include "assertions/generate/names.h"
#include "assertions/generate/skeleton.h"

namespace callie::assertions {

/// A control structure that was found in real code, and where.
struct Shape {
  Skeleton skeleton;
  int count = 1;              ///< always blocks that have it
  Pair::Source source;        ///< of the first of them
};

struct ShapeBank {
  std::vector<Shape> shapes;
};

/// Reads what `harvest` writes: one JSON object a line with `shape`, `count` and `source`. Errors: kDataLoss with
/// FILE:LINE, kNotFound.
StatusOr<ShapeBank> read_shapes(const std::string& path);
/// The bank that is built into the program.
const ShapeBank& built_in_shapes();

/// VERT's two shapes, done right: a block of an if with two inner ones, else chains, and flat case statements.
Skeleton vert_skeleton(Dice& dice);
/// A structure of up to three levels out of if, else, case and casez.
Skeleton random_skeleton(Dice& dice);

}  // namespace callie::assertions
