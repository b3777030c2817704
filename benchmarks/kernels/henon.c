/* Both Lyapunov exponents of the Henon map along one trajectory, the plain way: iterate, carry two
   tangent vectors, Gram-Schmidt, two logarithms, every step. Prints nanoseconds per step and the
   exponents. Usage: henon STEPS */

#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const double A = 1.4, B = 0.3;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

int main(int argc, char **argv) {
    const long steps = argc > 1 ? atol(argv[1]) : 10000000;
    double x = 0.1, y = 0.1;
    double u[2] = {1, 0}, v[2] = {0, 1};
    double first = 0, second = 0;
    const double begin = seconds();
    for (long i = 0; i < steps; i++) {
        const double slope = -2 * A * x;
        const double p[2] = {slope * u[0] + u[1], B * u[0]};
        double q[2] = {slope * v[0] + v[1], B * v[0]};
        const double image = 1 - A * x * x + y;
        y = B * x;
        x = image;
        const double p_norm = sqrt(p[0] * p[0] + p[1] * p[1]);
        u[0] = p[0] / p_norm;
        u[1] = p[1] / p_norm;
        const double along = u[0] * q[0] + u[1] * q[1];
        q[0] -= along * u[0];
        q[1] -= along * u[1];
        const double q_norm = sqrt(q[0] * q[0] + q[1] * q[1]);
        v[0] = q[0] / q_norm;
        v[1] = q[1] / q_norm;
        first += log(p_norm);
        second += log(q_norm);
    }
    printf("%.6f %.9f %.9f\n", 1e9 * (seconds() - begin) / steps, first / steps, second / steps);
    return 0;
}
